// The example classify as its users run it, on small generated data in Fashion-MNIST's format.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>
#include <zlib.h>

#include <ps/safetensors.h>

#include "integration/process.h"
#include "ops/temporary_directory.h"
#include "support/catch.h"

namespace ps {
namespace {

using Catch::Contains;
using nlohmann::json;
using test::Process;
using test::TemporaryDirectory;

constexpr std::chrono::seconds kPatience{100};
constexpr std::size_t kSide = 28;

std::string word(std::size_t value) {
  std::string bytes;
  for (const unsigned shift : {24U, 16U, 8U, 0U})
    bytes += static_cast<char>(value >> shift & 0xffU);
  return bytes;
}

std::string idx(const std::vector<std::size_t>& shape, const std::string& values) {
  std::string bytes{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const std::size_t dimension : shape) bytes += word(dimension);
  return bytes + values;
}

// Image i is of class i % 10: two bright rows whose place is the class.
std::string images(std::size_t count) {
  std::string pixels(count * kSide * kSide, '\x10');
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = 4 + i % 10 * 2;
    pixels.replace((i * kSide + row) * kSide, 2 * kSide, 2 * kSide, '\xf0');
  }
  return idx({count, kSide, kSide}, pixels);
}

std::string labels(std::size_t count) {
  std::string values;
  for (std::size_t i = 0; i < count; ++i) values += static_cast<char>(i % 10);
  return idx({count}, values);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream contents;
  contents << file.rdbuf();
  return contents.str();
}

// Fashion-MNIST's four files, small.
class Data {
 public:
  explicit Data(std::size_t train = 640, std::size_t test = 100) {
    compress("train-images-idx3-ubyte.gz", images(train));
    compress("train-labels-idx1-ubyte.gz", labels(train));
    compress("t10k-images-idx3-ubyte.gz", images(test));
    compress("t10k-labels-idx1-ubyte.gz", labels(test));
  }

  [[nodiscard]] const std::string& folder() const { return directory_.path(); }
  [[nodiscard]] std::string path(const std::string& name) const { return directory_.file(name); }
  void compress(const std::string& name, const std::string& contents) const {
    const gzFile file = gzopen(path(name).c_str(), "wb");
    REQUIRE(gzwrite(file, contents.data(), static_cast<unsigned>(contents.size())) ==
            static_cast<int>(contents.size()));
    REQUIRE(gzclose(file) == Z_OK);
  }

 private:
  TemporaryDirectory directory_;
};

using Words = std::vector<std::string>;

Words operator+(Words left, const Words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

const Words kAlone{PS_CLASSIFY};

Words job(const std::string& workers, const std::string& servers) {
  return {PS_PSRUN, "-n", workers, "-s", servers, "--", PS_CLASSIFY};
}

Words training(const Data& data, const std::string& out) {
  return {"train", "--data", data.folder(), "--out", out, "--epochs", "2", "--batch", "32"};
}

// Runs it to its good end; the JSON of its last line.
json result_of(const Words& command) {
  Process process(command);
  const int code = process.wait(kPatience);
  INFO(process.out << process.err);
  REQUIRE(code == 0);
  REQUIRE(process.out.ends_with("}\n"));
  const std::size_t begin = process.out.rfind('\n', process.out.size() - 2);
  return json::parse(process.out.substr(begin == std::string::npos ? 0 : begin + 1));
}

TEST_CASE("classify: a job leaves results, a plot's data, weights and one line of JSON",
          "[integration]") {
  const Data data;
  const TemporaryDirectory directory;
  const std::string out = directory.file("runs/a b's");  // made, whatever its name
  const json result =
      result_of(job("2", "2") + training(data, out) + Words{"--observe.measure=true"});
  CHECK(result.at("accuracy") >= 0.9);
  CHECK(result.at("samples_per_second") > 0);
  CHECK(result.at("seconds") > 0);
  CHECK(result.at("mode") == "sync");
  CHECK(result.at("epochs") == 2);
  CHECK(result.at("workers") == 2);
  CHECK(result.at("mean_staleness") == 0);

  std::istringstream csv(read_file(out + "/results.csv"));
  std::string line;
  std::getline(csv, line);
  CHECK(line ==
        "epoch,step,seconds,samples,train_loss,train_accuracy,test_loss,test_accuracy,"
        "samples_per_second,mean_staleness,lr,effective_batch,update_to_weight,noise_scale");
  std::size_t tested = 0;
  std::string last;
  while (std::getline(csv, line)) {
    last = line;
    CHECK(std::count(line.begin(), line.end(), ',') == 13);
    if (line.find(",,") == std::string::npos) ++tested;
  }
  CHECK(tested == 2);
  CHECK(last.starts_with("2,40,"));
  CHECK_THAT(last, Contains(",1280,"));

  const json again = result_of(
      kAlone + Words{"eval", "--data", data.folder(), "--weights", out + "/weights.safetensors"});
  CHECK(again.at("accuracy") == result.at("accuracy"));
  CHECK(again.at("loss") == result.at("loss"));
  const json shared = result_of(job("3", "1") + Words{"eval", "--data", data.folder(), "--weights",
                                                      out + "/weights.safetensors"});
  CHECK(shared.at("accuracy") == result.at("accuracy"));
}

TEST_CASE("classify: learns with compressed gradients and weights", "[integration]") {
  const Words flags =
      GENERATE(Words{"--compress=fp16", "--compress-pull=bf16"}, Words{"--compress=int8"},
               Words{"--compress", "topk:0.05"}, Words{"--compression.push=sign"});
  CAPTURE(flags);
  const Data data;
  const TemporaryDirectory directory;
  const json result = result_of(job("2", "2") + training(data, directory.file("out")) + flags);
  CHECK(result.at("accuracy") >= 0.8);
  CHECK(result.at("workers") == 2);
}

#if defined(PS_HAVE_GLOO)
TEST_CASE("classify: workers that reduce among themselves learn what servers teach",
          "[integration]") {
  const Data data;
  const TemporaryDirectory directory;
  const json ring = result_of(job("2", "1") + training(data, directory.file("ring")) +
                              Words{"--consistency.mode=allreduce"});
  const json servers = result_of(job("2", "1") + training(data, directory.file("servers")) +
                                 Words{"--optimizer.update=worker"});
  CHECK(ring.at("workers") == 2);
  CHECK(ring.at("loss").get<double>() == Approx(servers.at("loss").get<double>()).epsilon(1e-3));
  CHECK(result_of(kAlone + training(data, directory.file("alone")) +
                  Words{"--consistency.mode=allreduce"})
            .at("accuracy") >= 0.8);
}

#endif

TEST_CASE("classify: compressed sync training gives the same bits whatever the servers",
          "[integration]") {
  const Words flags{"--compress=topk:0.02", "--compress-pull=fp16"};
  const Data data(160, 20);
  const TemporaryDirectory directory;
  result_of(job("2", "1") + training(data, directory.file("one")) + flags);
  result_of(job("2", "3") + training(data, directory.file("three")) + flags);
  CHECK(read_file(directory.file("one/weights.safetensors")) ==
        read_file(directory.file("three/weights.safetensors")));
}

TEST_CASE("classify: sync gives the same bits alone and as processes, whatever the servers",
          "[integration]") {
  const Data data(160, 20);
  const TemporaryDirectory directory;
  result_of(kAlone + training(data, directory.file("alone")));
  result_of(job("1", "3") + training(data, directory.file("job")));
  const auto weights = ps::load_safetensors(directory.file("alone/weights.safetensors"));
  CHECK(weights.tensors.size() == 23);
  CHECK(weights.metadata.at("mode") == "sync");
  CHECK(read_file(directory.file("alone/weights.safetensors")) ==
        read_file(directory.file("job/weights.safetensors")));
}

TEST_CASE("classify: workers that share unevenly in async and ssp mode meet after every epoch",
          "[integration]") {
  const std::string mode = GENERATE("async", "ssp");
  CAPTURE(mode);
  const Data data(250, 20);  // 8 batches of 10 for 3 workers, and one of the 10 left over
  const TemporaryDirectory directory;
  const json result = result_of(job("3", "2") + training(data, directory.file("out")) +
                                Words{"--consistency.mode=" + mode});
  CHECK(result.at("mode") == mode);
  CHECK(result.at("workers") == 3);
}

TEST_CASE("classify: without momentum where many workers do not wait for each other",
          "[integration]") {
  const Data data(80, 10);
  const TemporaryDirectory directory;
  const auto said = [&](const std::string& workers, const Words& flags) {
    Process process(job(workers, "1") + training(data, directory.file("out")) + flags);
    CHECK(process.wait(kPatience) == 0);
    return process.out;
  };
  CHECK_THAT(said("4", {"--consistency.mode=async"}),
             Contains("async with 4 workers: sgd, lr 0.1, momentum 0;"));
  CHECK_THAT(said("4", {"--consistency.mode=async", "--momentum=0.5"}), Contains("momentum 0.5;"));
  CHECK_THAT(said("2", {"--consistency.mode=async"}), Contains("momentum 0.9;"));
  CHECK_THAT(said("4", {}), Contains("sync with 4 workers: sgd, lr 0.1, momentum 0.9;"));
}

// Damages the data in one way; the file that must be named, and what must be said of it.
struct Damage {
  std::string name;
  std::string file;
  std::string said;
  void (*apply)(const Data& data, const std::string& file);
};

const std::vector<Damage> kDamages{
    {"missing", "t10k-labels-idx1-ubyte.gz", "No such file",
     [](const Data& data, const std::string& file) { std::filesystem::remove(data.path(file)); }},
    {"a folder", "train-images-idx3-ubyte.gz", "Is a directory",
     [](const Data& data, const std::string& file) {
       std::filesystem::remove(data.path(file));
       std::filesystem::create_directory(data.path(file));
     }},
    {"empty", "train-labels-idx1-ubyte.gz", "header",
     [](const Data& data, const std::string& file) { std::ofstream{data.path(file)}; }},
    {"a truncated stream", "train-images-idx3-ubyte.gz", "truncated",
     [](const Data& data, const std::string& file) {
       std::filesystem::resize_file(data.path(file),
                                    std::filesystem::file_size(data.path(file)) / 2);
     }},
    {"a flipped bit", "train-labels-idx1-ubyte.gz", "damaged",
     [](const Data& data, const std::string& file) {
       std::string bytes = read_file(data.path(file));
       bytes[bytes.size() - 6] = static_cast<char>(bytes[bytes.size() - 6] ^ 1);  // in the CRC
       std::ofstream(data.path(file), std::ios::binary) << bytes;
     }},
    {"fewer values than promised", "t10k-images-idx3-ubyte.gz", "truncated",
     [](const Data& data, const std::string& file) {
       data.compress(file, images(100).substr(0, 5000));
     }},
    {"more values than promised", "t10k-labels-idx1-ubyte.gz", "more bytes follow",
     [](const Data& data, const std::string& file) { data.compress(file, labels(100) + "x"); }},
    {"no IDX file", "train-images-idx3-ubyte.gz", "not an IDX file",
     [](const Data& data, const std::string& file) {
       data.compress(file, "A text of some length");
     }},
    {"elements of four bytes", "train-labels-idx1-ubyte.gz", "type 13",
     [](const Data& data, const std::string& file) {
       std::string bytes = labels(640);
       bytes[2] = '\x0d';
       data.compress(file, bytes);
     }},
    {"a promise of 2^60 values", "train-images-idx3-ubyte.gz", "2^30",
     [](const Data& data, const std::string& file) {
       data.compress(file, idx({1U << 30U, 1U << 15U, 1U << 15U}, "x"));
     }},
    {"images of 27 x 28", "train-images-idx3-ubyte.gz", "640 x 27 x 28",
     [](const Data& data, const std::string& file) {
       data.compress(file, idx({640, 27, 28}, std::string(std::size_t{640} * 27 * 28, 'x')));
     }},
    {"images for labels", "t10k-labels-idx1-ubyte.gz", "3 dimensions",
     [](const Data& data, const std::string& file) { data.compress(file, images(100)); }},
    {"a label of 10", "train-labels-idx1-ubyte.gz", "label 3 is 10",
     [](const Data& data, const std::string& file) {
       std::string bytes = labels(640);
       bytes[8 + 3] = '\x0a';
       data.compress(file, bytes);
     }},
    {"a label too few", "train-labels-idx1-ubyte.gz", "639 labels for the 640 images",
     [](const Data& data, const std::string& file) { data.compress(file, labels(639)); }},
};

TEST_CASE("classify: names the file that is not what it should be, and ends with 1",
          "[integration]") {
  const TemporaryDirectory directory;
  for (const Damage& damage : kDamages) {
    CAPTURE(damage.name);
    const Data data;
    damage.apply(data, damage.file);
    Process process(kAlone + training(data, directory.file("out")));
    CHECK(process.wait(kPatience) == 1);
    CHECK_THAT(process.err,
               Contains("classify: ") && Contains(data.path(damage.file)) && Contains(damage.said));
    CHECK(process.out.empty());
  }
}

TEST_CASE("classify: names a folder or a file that is not there, and ends with 1",
          "[integration]") {
  const Data data(40, 10);
  const TemporaryDirectory directory;
  const std::string weights = directory.file("weights.safetensors");
  const auto fails = [&](const Words& flags, const std::string& said) {
    Process process(kAlone + flags);
    CHECK(process.wait(kPatience) == 1);
    CHECK_THAT(process.err, Contains("classify: ") && Contains(said));
    CHECK(process.out.empty());
  };
  fails({"train", "--data", directory.file("none")},
        "there is no folder " + directory.file("none"));
  fails({"eval", "--data", data.folder(), "--weights", weights}, weights);
  const std::string blocked = directory.write("blocked", "");
  fails({"train", "--data", data.folder(), "--out", blocked + "/out"}, blocked);

  ps::save_safetensors(weights, std::vector<NamedTensor>{{"other", {}, std::vector<float>{1.0F}}});
  fails({"eval", "--data", data.folder(), "--weights", weights},
        weights + ": there is no tensor conv1.weight");
  ps::save_safetensors(weights,
                       std::vector<NamedTensor>{{"conv1.weight", {1}, std::vector<float>{1.0F}}});
  fails({"eval", "--data", data.folder(), "--weights", weights},
        weights + ": conv1.weight is [1], expected [16, 1, 3, 3]");
}

TEST_CASE("classify: one worker's bad data ends the whole job with its error", "[integration]") {
  const TemporaryDirectory directory;
  const std::string none = directory.file("none");
  Process process(job("2", "2") + Words{"train", "--data", none});
  CHECK(process.wait(kPatience) == 1);
  CHECK_THAT(process.err, Contains("there is no folder " + none));
}

TEST_CASE("classify: a training that diverges says so", "[integration]") {
  const Data data(320, 10);
  const TemporaryDirectory directory;
  Process process(kAlone + training(data, directory.file("out")) + Words{"--lr", "1e30"});
  CHECK(process.wait(kPatience) == 1);
  CHECK_THAT(process.err, Contains("diverged") && Contains("--lr"));
}

TEST_CASE("classify: teaches its use, and refuses what it does not know before it joins a job",
          "[integration]") {
  Process help({PS_CLASSIFY, "--help"});
  CHECK(help.wait() == 0);
  CHECK_THAT(help.out, Contains("train") && Contains("eval") && Contains("psrun -n 2 -s 2") &&
                           Contains("--help-config"));
  CHECK(help.err.empty());
  Process train_help({PS_CLASSIFY, "train", "--help"});
  CHECK(train_help.wait() == 0);
  CHECK_THAT(train_help.out, Contains("--epochs") && Contains("--momentum") &&
                                 Contains("--compress") && Contains("topk:0.01"));
  for (const Words& wrong :
       {Words{}, Words{"train", "--epoch", "3"}, Words{"train", "--lr", "-1"}, Words{"eval"},
        Words{"train", "--momentum", "2"}, Words{"train", "--compress", "fp8"},
        Words{"train", "--compress-pull", "topk"}}) {
    Process process(kAlone + wrong);
    CHECK(process.wait() == 2);
    CHECK(process.out.empty());
    CHECK_FALSE(process.err.empty());
  }
}

}  // namespace
}  // namespace ps
