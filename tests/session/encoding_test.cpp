// Gradients that the program hands over encoded: the job is the same as if its worker had encoded
// them, and what does not fit is told.
#include <algorithm>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <ps/ps.hpp>

#include "base/random.h"
#include "support/catch.h"
#include "worker/encoder.h"

namespace ps {
namespace {

constexpr std::uint64_t kChunkBytes = 4400;
constexpr int kSteps = 4;

// Stands for a program's own encoder: a worker's, of parameters "a" and so on.
class Program {
 public:
  Program(const ModelOptions& options, std::uint32_t rank) : rank_(rank) {
    for (const Shape& shape : shapes())
      infos_.push_back({shape.name, shape.dimensions, shape.kind});
    encoder_ = worker::Encoder(options.compression, infos_, rank);
  }

  struct Shape {
    std::string name;
    std::vector<std::int64_t> dimensions;
    ParameterKind kind = ParameterKind::kTrained;
  };
  static std::vector<Shape> shapes() {
    return {{"a", {31, 100}}, {"b", {17}}, {"c", {64}, ParameterKind::kAverage}, {"d", {1300}}};
  }

  void fill(std::span<float> gradient, std::uint64_t step, std::size_t index) const {
    Random random(1000 * step + 10 * rank_ + index);
    for (float& value : gradient) value = static_cast<float>(random.normal());
  }

  void encode(std::uint32_t index,
              std::uint64_t step,
              std::span<const float> gradient,
              const Encoding& how,
              std::span<std::byte> to) {
    const Memory values = Memory::allocate(gradient.size_bytes());
    std::ranges::copy(gradient, values.as<float>().begin());
    for (const EncodedPiece& piece : how.pieces) {
      const wire::Segment segment{.parameter = index,
                                  .codec = encoder_.codec_of({index, piece.first, piece.count}),
                                  .offset = piece.first,
                                  .count = piece.count,
                                  .bytes = static_cast<std::uint32_t>(piece.bytes)};
      encoder_.encode(segment, step, values, to.subspan(piece.at, piece.bytes));
    }
  }

 private:
  std::uint32_t rank_;
  std::vector<wire::ParameterInfo> infos_;
  worker::Encoder encoder_;
};

enum class Hands { kGradients, kEncoded, kOwnMemory };

// Returns the hash of the weights that all have in the end.
std::uint64_t train(Session& session, Hands hands) {
  Model model = session.model("m", {.optimizer = Sgd{.lr = 0.1F, .momentum = 0.9F}});
  for (const auto& shape : Program::shapes())
    model.add(shape.name, shape.dimensions, {}, shape.kind);
  model.start();
  Program program(model.options(), session.rank());
  std::vector<float> gradient;
  std::vector<std::byte> bytes;
  for (int step = 0; step < kSteps; ++step) {
    model.begin_step(1.0 + session.rank());
    for (std::uint32_t i = 0; i < model.parameters().size(); ++i) {
      const Parameter& parameter = model.parameters()[i];
      if (hands == Hands::kGradients || parameter.encoding().pieces.empty()) {
        program.fill(parameter.gradients(), static_cast<std::uint64_t>(step), i);
        parameter.push_pull();
        continue;
      }
      gradient.resize(parameter.gradients().size());
      program.fill(gradient, static_cast<std::uint64_t>(step), i);
      bytes.assign(parameter.encoding().bytes, std::byte{0x55});
      const std::span<std::byte> to =
          hands == Hands::kEncoded ? parameter.encoded() : std::span<std::byte>(bytes);
      program.encode(i, model.step_number(), gradient, parameter.encoding(), to);
      parameter.push_pull(to);
    }
    PS_CHECK_IN_THREAD(model.push_pull().wait().accepted);
  }
  session.finish();
  return model.hash();
}

std::uint64_t job(const std::vector<std::string>& compression, Hands hands, const char* transport) {
  std::mutex mutex;
  std::set<std::uint64_t> hashes;
  std::vector<std::string> flags = compression;
  flags.push_back("--transport.chunk_bytes=" + std::to_string(kChunkBytes));
  LocalCluster::run(2,
                    [&](Session& session) {
                      const std::uint64_t hash = train(session, hands);
                      const std::lock_guard lock(mutex);
                      hashes.insert(hash);
                    },
                    {.servers = 2, .transport = transport, .flags = flags});
  CHECK(hashes.size() == 1);
  return *hashes.begin();
}

}  // namespace

TEST_CASE("encoding: gradients handed over encoded make the weights of those encoded by the worker",
          "[unit][session]") {
  const std::string push = GENERATE("fp16", "bf16", "int8", "int8-stochastic", "topk", "sign");
  CAPTURE(push);
  const std::vector<std::string> flags{"--compression.push=" + push, "--compression.top=0.05"};
  const std::uint64_t expected = job(flags, Hands::kGradients, "inproc");
  CHECK(job(flags, Hands::kEncoded, "inproc") == expected);
  CHECK(job(flags, Hands::kOwnMemory, "shm") == expected);
}

TEST_CASE(
    "encoding: gradients that are not compressed or that the worker clips cannot come encoded",
    "[unit][session]") {
  const auto pieces = [](const ModelOptions& options) {
    std::size_t count = 0;
    LocalCluster::run(1, [&](Session& session) {
      Model model = session.model("m", options);
      const Parameter a = model.add("a", {1300});
      model.start();
      count = a.encoding().pieces.size();
      PS_CHECK_IN_THREAD(a.encoded().size() == a.encoding().bytes);
    });
    return count;
  };
  const Compression fp16{.push = Compression::Push::kFp16};
  CHECK(pieces({.optimizer = Sgd{}, .compression = fp16}) == 2);  // chunks of 4 KiB
  CHECK(pieces({.optimizer = Sgd{}}) == 0);
  CHECK(pieces({.mode = Async{}, .optimizer = Sgd{}, .clip_norm = 1.0F, .compression = fp16}) == 0);
  CHECK(pieces({.optimizer = Sgd{}, .clip_norm = 1.0F, .compression = fp16}) == 2);
}

TEST_CASE("encoding: misuse is told with the parameter, what was expected and what came",
          "[unit][session]") {
  LocalCluster::run(1, [](Session& session) {
    Model model = session.model(
        "m", {.optimizer = Sgd{.lr = 1.0F}, .compression = {.push = Compression::Push::kFp16}});
    const Parameter a = model.add("a", {40});
    const Parameter mean = model.add("mean", {8}, {}, ParameterKind::kAverage);
    const auto refused = [](const auto& call, const std::string& text) {
      std::string what = "nothing was thrown";
      try {
        call();
      } catch (const Error& error) {
        if (error.code() == ErrorCode::kInvalidArgument) what = error.what();
      }
      INFO(what);
      PS_CHECK_IN_THREAD(what.find(text) != std::string::npos);
    };
    refused([&] { static_cast<void>(a.encoding()); }, "encoding() before start()");
    model.start();
    const std::vector<std::byte> bytes(128);
    refused([&] { a.push_pull(bytes); }, "outside a step");
    refused([&] { static_cast<void>(model.step_number()); }, "outside a step");
    model.begin_step(1.0);
    refused([&] { a.push_pull(std::span(bytes).first(80)); },
            "'a': expected 128 encoded bytes (encoding()), got 80");
    refused([&] { mean.push_pull(bytes); }, "'mean': expected no encoded bytes");
    a.push_pull(bytes);
    model.push_pull().wait();
    model.accumulate(1.0);
    model.begin_step(1.0);
    refused([&] { a.push_pull(bytes); }, "accumulate()");
    model.push_pull().wait();
  });
}

}  // namespace ps
