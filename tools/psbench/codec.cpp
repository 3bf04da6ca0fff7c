// Bytes of float32 per second that each codec encodes and decodes, one thread, beside memcpy of the
// same array. Values are normal, as gradients nearly are.
#include "kernels/codec.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/random.h"
#include "commands.h"
#include "kernels/isa.h"
#include "timing.h"

namespace psbench {
namespace {

using ps::Memory;
using ps::kernels::Codec;
using ps::kernels::DecodeInto;
using ps::kernels::Rounding;

struct CodecOptions {
  SizeOptions size{.bytes = std::size_t{16} << 20, .seconds = 10.0};
  std::vector<std::string> codecs{"all"};
};

// A codec as it is asked for; top-k sends one value in `one_in`.
struct Variant {
  std::string codec;
  Codec id;
  Rounding rounding = Rounding::kNearest;
  std::size_t one_in = 0;

  [[nodiscard]] std::string name() const {
    if (one_in != 0) return codec + " 1/" + std::to_string(one_in);
    return codec + (rounding == Rounding::kStochastic ? " stochastic" : "");
  }
  [[nodiscard]] std::size_t sent(std::size_t count) const {
    return one_in == 0 ? 0 : std::max<std::size_t>(1, count / one_in);
  }
};

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all{{"fp16", Codec::kFp16},
                                        {"bf16", Codec::kBf16},
                                        {"int8", Codec::kInt8},
                                        {"int8", Codec::kInt8, Rounding::kStochastic},
                                        {"sign", Codec::kSign},
                                        {"top", Codec::kTopK, Rounding::kNearest, 10},
                                        {"top", Codec::kTopK, Rounding::kNearest, 100},
                                        {"top", Codec::kTopK, Rounding::kNearest, 1000}};
  return all;
}

Memory normal_values(std::size_t count) {
  Memory memory = Memory::allocate(count * sizeof(float));
  ps::Random random(1);
  for (float& x : memory.as<float>()) x = static_cast<float>(1e-3 * random.normal());
  return memory;
}

// One variant's encoding, over and over, and the decoding of what it gives.
class Message {
 public:
  Message(const Variant& variant, const Memory& values, bool feedback)
      : count_(values.size() / sizeof(float)),
        sent_(variant.sent(count_)),
        encoded_(Memory::allocate(ps::kernels::encoded_bytes(variant.id, count_, sent_))),
        workspace_(Memory::allocate(ps::kernels::encode_workspace(variant.id, count_, sent_) + 8)) {
    if (feedback) residual_ = Memory::allocate(values.size());
    pass_ = {.codec = variant.id,
             .count = count_,
             .k = sent_,
             .values = values.as<float>().data(),
             .residual = feedback ? residual_.as<float>().data() : nullptr,
             .encoded = encoded_.bytes().data(),
             .rounding = variant.rounding,
             .workspace = workspace_.bytes().data()};
  }
  void encode() {
    ++pass_.seed;
    ops_.encode(pass_);
  }
  void decode(const Memory& into, DecodeInto how) const {
    const auto error = ops_.decode({.codec = pass_.codec,
                                    .count = count_,
                                    .encoded = pass_.encoded,
                                    .bytes = encoded_.size(),
                                    .values = into.as<float>().data(),
                                    .into = how});
    if (error != ps::kernels::CodecError::kNone) throw std::runtime_error("decoding fails");
  }

 private:
  const ps::kernels::CodecOps& ops_ = ps::kernels::codec(ps::kernels::best_isa());
  std::size_t count_, sent_;
  Memory encoded_, workspace_, residual_;
  ps::kernels::EncodePass pass_;
};

struct Row {
  std::string name, what;
  const Samples* samples;
};

class Bench {
 public:
  explicit Bench(std::size_t bytes)
      : values_(normal_values(bytes / sizeof(float))), copied_(Memory::allocate(values_.size())) {
    limit = &turns_.add(
        [this] { std::memcpy(copied_.bytes().data(), values_.bytes().data(), values_.size()); });
  }

  void add(const Variant& variant) {
    Message& plain = messages_.emplace_back(variant, values_, false);
    Message& feedback = messages_.emplace_back(variant, values_, true);
    add(variant, "encode", [&] { plain.encode(); });
    add(variant, "encode, error feedback", [&] { feedback.encode(); });
    if (variant.rounding == Rounding::kStochastic) return;  // bytes are decoded all the same
    add(variant, "decode", [&] { plain.decode(copied_, DecodeInto::kValues); });
    add(variant, "decode, added to a sum", [&] { plain.decode(copied_, DecodeInto::kSum); });
  }
  void run(double seconds) { turns_.run(seconds); }
  [[nodiscard]] double gigabytes() const { return 1e-9 * static_cast<double>(values_.size()); }

  std::vector<Row> rows;
  const Samples* limit;

 private:
  void add(const Variant& variant, const char* what, std::function<void()> body) {
    rows.push_back({variant.name(), what, &turns_.add(std::move(body))});
  }

  Memory values_, copied_;
  std::deque<Message> messages_;
  Turns turns_;
};

int run(const CodecOptions& o) {
  Bench bench(o.size.bytes);
  for (const Variant& variant : variants()) {
    if (std::ranges::any_of(
            o.codecs, [&](const auto& name) { return name == "all" || name == variant.codec; })) {
      bench.add(variant);
    }
  }
  bench.run(o.size.seconds);

  const double limit = bench.gigabytes() / bench.limit->median();
  std::printf("%-16s %-24s %8s %8s %8s\n", "codec", "", "GB/s", "ratio", "spread");
  std::printf("%-16s %-24s %8.2f %8.2f %7.1f%%\n", "memcpy", "", limit, 1.0,
              100.0 * bench.limit->spread());
  Score worst{.goodput = 0.0, .limit = limit};
  nlohmann::json list = nlohmann::json::array();
  for (const Row& row : bench.rows) {
    const Score score{.goodput = bench.gigabytes() / row.samples->median(), .limit = limit};
    std::printf("%-16s %-24s %8.2f %8.2f %7.1f%%\n", row.name.c_str(), row.what.c_str(),
                score.goodput, score.ratio(), 100.0 * row.samples->spread());
    list.push_back({{"codec", row.name},
                    {"what", row.what},
                    {"goodput", score.goodput},
                    {"ratio", score.ratio()},
                    {"spread", row.samples->spread()}});
    if (worst.goodput == 0.0 || score.goodput < worst.goodput) worst = score;
  }
  if (o.size.json) {
    print_json(worst, {{"of", "the slowest row"},
                       {"bytes", o.size.bytes},
                       {"spread_of_limit", bench.limit->spread()},
                       {"rows", list},
                       {"isa", ps::kernels::to_string(ps::kernels::best_isa())}});
  }
  return 0;
}

}  // namespace

Command codec_command(CLI::App& app) {
  auto o = std::make_shared<CodecOptions>();
  CLI::App* command =
      app.add_subcommand("codec",
                         "Gradients encoded and decoded, one thread, in bytes of float32 a second "
                         "beside memcpy of them");
  declare(*command, o->size, "Of the gradient, as float32");
  command->add_option("--codec", o->codecs, "Codecs, with commas")
      ->delimiter(',')
      ->check(CLI::IsMember({"all", "fp16", "bf16", "int8", "sign", "top"}))
      ->capture_default_str();
  return {command, [o] { return run(*o); }};
}

}  // namespace psbench
