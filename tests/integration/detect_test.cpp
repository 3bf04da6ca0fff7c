// The example detect as its users run it, on few small generated pictures.
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

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
using Words = std::vector<std::string>;

namespace fs = std::filesystem;

constexpr std::chrono::seconds kPatience{200};
const std::string kData = "fm-det:count=64,val=24,size=64,classes=5,seed=3";
const Words kAlone{PS_DETECT};
const Words kJob{PS_PSRUN, "-n", "2", "-s", "2", "--", PS_DETECT};

Words operator+(Words left, const Words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Words training(const std::string& project,
               const std::string& epochs,
               const std::string& batch = "16") {
  return {"train",    "--data", kData,       "--img", "64",    "--batch-size",   batch,
          "--epochs", epochs,   "--project", project, "--set", "warmup_epochs=0"};
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream contents;
  contents << file.rdbuf();
  return contents.str();
}

// Runs it to its good end; what it said.
std::string output_of(const Words& command) {
  Process process(command);
  const int code = process.wait(kPatience);
  INFO(process.out << process.err);
  REQUIRE(code == 0);
  return process.out;
}

json result_of(const Words& command) {
  const std::string out = output_of(command);
  INFO(out);
  REQUIRE(out.ends_with("}\n"));
  const std::size_t begin = out.rfind('\n', out.size() - 2);
  return json::parse(out.substr(begin == std::string::npos ? 0 : begin + 1));
}

std::string complaint_of(const Words& command) {
  Process process(command);
  const int code = process.wait(kPatience);
  INFO(process.out << process.err);
  CHECK(code == 1);
  return process.err;
}

// Rows of results.csv, without what depends on time.
std::vector<std::string> rows(const std::string& folder) {
  std::istringstream csv(read_file(folder + "/results.csv"));
  std::vector<std::string> result;
  for (std::string line; std::getline(csv, line);) {
    std::size_t end = 0;
    for (int column = 0; column < 14 && end != std::string::npos; ++column)
      end = line.find(',', end + 1);
    result.push_back(line.substr(0, end));
  }
  return result;
}

bool same_tensors(const std::string& a, const std::string& b) {
  const SafetensorsFile left = load_safetensors(a);
  const SafetensorsFile right = load_safetensors(b);
  REQUIRE(left.tensors.size() == right.tensors.size());
  for (std::size_t i = 0; i < left.tensors.size(); ++i) {
    INFO(left.tensors[i].name);
    CHECK(left.tensors[i].name == right.tensors[i].name);
    if (left.tensors[i].values != right.tensors[i].values) return false;
  }
  return true;
}

TEST_CASE("detect: a job leaves checkpoints, curves and pictures, which val and predict go on from",
          "[integration]") {
  const TemporaryDirectory directory;
  const std::string runs = directory.file("runs");
  const json result = result_of(kJob + training(runs, "2"));
  for (const char* key : {"map50", "map50_95", "images_per_second", "seconds", "mode"}) {
    INFO(key);
    CHECK(result.contains(key));
  }
  const std::string folder = runs + "/exp";
  CHECK(result.at("folder") == folder);
  for (const char* name :
       {"opt.yaml", "hyp.yaml", "results.csv", "results.png", "labels.jpg", "train_batch0.jpg",
        "val_batch0_labels.jpg", "val_batch0_pred.jpg", "PR_curve.png", "P_curve.png",
        "R_curve.png", "F1_curve.png", "confusion_matrix.png", "weights/best.safetensors",
        "weights/last.safetensors"}) {
    INFO(name);
    CHECK(fs::exists(folder + "/" + name));
  }
  CHECK(rows(folder).size() == 3);
  CHECK_THAT(rows(folder).front(), Contains("metrics/mAP_0.5:0.95"));

  const std::string best = folder + "/weights/best.safetensors";
  const json val = result_of(kJob + Words{"val", "--weights", best, "--data", kData, "--project",
                                          runs, "--name", "val", "--save-json", "--json"});
  CHECK(val.at("map50").get<double>() == Approx(result.at("map50").get<double>()).margin(1e-4));
  CHECK(json::parse(read_file(runs + "/val/predictions.json")).is_array());

  const std::string data = directory.file("data");
  output_of(kAlone + Words{"make-data", data, "--count", "4", "--val", "2", "--size", "96"});
  const json found = result_of(kAlone + Words{"predict", "--weights", best, "--source",
                                              data + "/images/val", "--conf", "0.01", "--project",
                                              runs, "--name", "seen", "--save-txt", "--json"});
  CHECK(found.at("images") == 2);
  CHECK(fs::exists(found.at("folder").get<std::string>()));
}

TEST_CASE("detect: a run that was killed goes on with the losses of one that was not",
          "[integration]") {
  const TemporaryDirectory directory;
  const std::string whole = directory.file("whole");
  const std::string broken = directory.file("broken");
  output_of(kAlone + training(whole, "4") + Words{"--noplots"});
  {
    Process process(kAlone + training(broken, "4") + Words{"--noplots"});
    process.read_until(
        [&](const Process&) { return fs::exists(broken + "/exp/weights/last.safetensors"); },
        kPatience);
    process.kill(SIGKILL);
  }
  const std::string out = output_of(kAlone + Words{"train", "--project", broken, "--resume"});
  CHECK_THAT(out, Contains("going on with epoch"));
  CHECK(rows(broken + "/exp") == rows(whole + "/exp"));
  CHECK(same_tensors(broken + "/exp/weights/last.safetensors",
                     whole + "/exp/weights/last.safetensors"));
  CHECK_THAT(complaint_of(kAlone + Words{"train", "--project", broken, "--resume"}),
             Contains("finished run"));
}

TEST_CASE("detect: a run goes on with more workers and servers", "[integration]") {
  const TemporaryDirectory directory;
  {
    Process process(kAlone + training(directory.path(), "3") + Words{"--noplots"});
    process.read_until(
        [&](const Process&) { return fs::exists(directory.file("exp/weights/last.safetensors")); },
        kPatience);
    process.kill(SIGKILL);
  }
  const json result = result_of(kJob + Words{"train", "--project", directory.path(), "--resume"});
  CHECK(result.at("workers") == 2);
  CHECK(result.at("epochs") == 3);
}

TEST_CASE("detect: two workers' half batches and one worker's two halves give the same bits",
          "[integration]") {
  const TemporaryDirectory directory;
  const Words more{"--noplots", "--set", "nbs=32"};
  output_of(kAlone + training(directory.file("one"), "3") + more);
  output_of(kJob + training(directory.file("two"), "3", "32") + more);
  CHECK(same_tensors(directory.file("one/exp/weights/last.safetensors"),
                     directory.file("two/exp/weights/last.safetensors")));
}

// Not under sanitizers, where twenty emulated steps take minutes: tests/nn has single ones for
// them.
#if defined(PS_CUDA_EMULATED) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
double largest_difference(const SafetensorsFile& a, const SafetensorsFile& b) {
  REQUIRE(a.tensors.size() == b.tensors.size());
  double most = 0.0;
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    double scale = 1e-30;
    double difference = 0.0;
    REQUIRE(a.tensors[i].values.size() == b.tensors[i].values.size());
    for (std::size_t k = 0; k < a.tensors[i].values.size(); ++k) {
      const double x = a.tensors[i].values[k];
      difference = std::max(difference, std::abs(x - double{b.tensors[i].values[k]}));
      scale = std::max(scale, std::abs(x));
    }
    most = std::max(most, difference / scale);
  }
  return most;
}

// At a small rate: what is rounded differently grows from step to step, the faster the larger the
// rate.
TEST_CASE("detect: twenty steps on a GPU give the CPU's losses and weights", "[integration]") {
  const TemporaryDirectory directory;
  // A small rate: what is rounded differently grows from step to step, the faster the larger it is.
  const auto command = [&](const std::string& name, const Words& device) {
    return Words{"env", "PS_EMULATED_DEVICES=1", PS_DETECT, "train", "--name", name} +
           Words{"--data", "fm-det:count=16,val=4,size=32,classes=5,seed=3", "--img", "32"} +
           Words{"--batch-size", "4", "--epochs", "5", "--project", directory.path()} +
           Words{"--noplots", "--set", "warmup_epochs=0", "--set", "nbs=4"} +
           Words{"--set", "lr0=0.0002"} + device;
  };
  output_of(command("cpu", {"--device", "cpu"}));
  const std::string told = output_of(command("gpu", {"--device", "cuda:0"}));
  CHECK_THAT(told, Contains("on cuda:0"));
  const SafetensorsFile cpu = load_safetensors(directory.file("cpu/weights/last.safetensors"));
  const SafetensorsFile gpu = load_safetensors(directory.file("gpu/weights/last.safetensors"));
  CHECK(largest_difference(cpu, gpu) < 1e-4);
  std::istringstream cpu_rows(read_file(directory.file("cpu/results.csv")));
  std::istringstream gpu_rows(read_file(directory.file("gpu/results.csv")));
  std::string left;
  std::string right;
  std::getline(cpu_rows, left);
  std::getline(gpu_rows, right);
  for (int epoch = 0; epoch < 5; ++epoch) {
    REQUIRE(std::getline(cpu_rows, left));
    REQUIRE(std::getline(gpu_rows, right));
    std::istringstream a(left);
    std::istringstream b(right);
    // epoch, box, obj, cls; four scores, not compared; the same losses of the validation
    for (int column = 0; column < 11; ++column) {
      std::getline(a, left, ',');
      std::getline(b, right, ',');
      if (column >= 4 && column < 8) continue;
      INFO("epoch " << epoch << " column " << column);
      CHECK(std::stod(left) == Approx(std::stod(right)).epsilon(1e-4));
    }
  }
}

// Both take the same slices and add up the same sums, which leave compressed.
TEST_CASE("detect: two devices, and a network split over two, learn the same", "[integration]") {
  const TemporaryDirectory directory;
  const auto command = [&](const std::string& name, const Words& devices) {
    return Words{"env", "PS_EMULATED_DEVICES=2", PS_DETECT, "train", "--name", name} +
           Words{"--data", "fm-det:count=8,val=2,size=32,classes=5,seed=3", "--img", "32"} +
           Words{"--batch-size", "4", "--epochs", "1", "--project", directory.path()} +
           Words{"--noplots", "--set", "nbs=4", "--compress", "int8", "--device", "cuda:0,1"} +
           devices;
  };
  CHECK_THAT(output_of(command("shared", {})), Contains("on cuda:0") && Contains("and cuda:1") &&
                                                   Contains("gradients leave the GPU compressed"));
  const std::string told = output_of(command("split", {"--split", "0:5,1:14"}));
  CHECK_THAT(told, Contains("up to row 5") && Contains("up to row 14"));
  CHECK(read_file(directory.file("split/weights/last.safetensors")) ==
        read_file(directory.file("shared/weights/last.safetensors")));
  const auto refused = [&](const Words& flags, const std::string& words) {
    CHECK_THAT(complaint_of(command("none", flags)), Contains(words));
  };
  refused({"--split", "0:5,1:9"}, "the network's last row");
  refused({"--split", "1:5,0:14"}, "for each device of --device in turn");
  refused({"--split", "0:5,1:9,2:14"}, "as many devices as --device names");
}
#endif

TEST_CASE("detect: trains asynchronously", "[integration]") {
  const TemporaryDirectory directory;
  const json result = result_of(kJob + training(directory.path(), "2") +
                                Words{"--noplots", "--consistency.mode=async"});
  CHECK(result.at("mode") == "async");
  CHECK(result.at("images_per_second") > 0);
}

TEST_CASE("detect: tune keeps the best of its trials", "[integration]") {
  const TemporaryDirectory directory;
  const Words tune{"tune",
                   "--data",
                   "fm-det:count=16,val=8,size=64",
                   "--img",
                   "64",
                   "--batch-size",
                   "8",
                   "--epochs",
                   "1",
                   "--project",
                   directory.path(),
                   "--trials",
                   "3",
                   "--json"};
  const json result = result_of(kAlone + tune);
  CHECK(fs::exists(result.at("hyp").get<std::string>()));
  const std::string csv = read_file(directory.file("exp-tune/evolve.csv"));
  CHECK(std::ranges::count(csv, '\n') == 4);
}

TEST_CASE("detect: export writes an ONNX file beside the weights", "[integration]") {
  const TemporaryDirectory directory;
  output_of(kAlone + training(directory.path(), "1") + Words{"--noplots"});
  const std::string best = directory.file("exp/weights/best.safetensors");
  const json result = result_of(kAlone + Words{"export", "--weights", best, "--json"});
  CHECK(fs::file_size(result.at("file").get<std::string>()) > 100000);
}

TEST_CASE("detect: tells what is wrong with files of a data set and trains on the others",
          "[integration]") {
  const TemporaryDirectory directory;
  const std::string data = directory.file("data");
  output_of(kAlone + Words{"make-data", data, "--count", "24", "--val", "8", "--size", "64"});
  std::vector<std::string> images;
  for (const auto& entry : fs::directory_iterator(data + "/images/train"))
    images.push_back(entry.path().stem().string());
  std::ranges::sort(images);
  const auto label = [&](std::size_t i) { return data + "/labels/train/" + images[i] + ".txt"; };
  fs::path truncated;
  for (const auto& entry : fs::directory_iterator(data + "/images/train")) {
    if (entry.path().stem() == images[0]) truncated = entry.path();
  }
  fs::resize_file(truncated, fs::file_size(truncated) / 2);
  std::ofstream(label(1)) << "9 0.5 0.5 0.2 0.2\n";
  std::ofstream(label(2)) << "0 0.5 0.5 0 0.2\n";
  fs::remove(label(3));
  const std::string out =
      output_of(kAlone + Words{"train", "--data", data + "/data.yaml", "--img", "64", "--epochs",
                               "1", "--project", directory.file("runs"), "--noplots"});
  for (std::size_t i = 0; i < 3; ++i) CHECK_THAT(out, Contains(images[i]));
  CHECK_THAT(out, Contains("Scanning"));
  CHECK_THAT(out, Contains("corrupt"));
}

TEST_CASE("detect: says what it cannot do, and ends", "[integration]") {
  const TemporaryDirectory directory;
  const Words train{"train", "--img", "64", "--epochs", "1", "--project", directory.path()};
  CHECK_THAT(complaint_of(kAlone + train + Words{"--data", directory.file("no.yaml")}),
             Contains("no.yaml"));
  CHECK_THAT(complaint_of(kAlone + train + Words{"--data", kData, "--cfg", "yolov9z"}),
             Contains("yolov5n"));
  CHECK_THAT(complaint_of(kAlone + train + Words{"--data", kData, "--set", "lr1=3"}),
             Contains("lr0"));
  CHECK_THAT(complaint_of(kAlone + train + Words{"--data", kData, "--set", "lr0=-1"}),
             Contains("lr0: expected"));
  std::ofstream(directory.file("x.safetensors")) << "not one";
  CHECK_THAT(complaint_of(kAlone + Words{"predict", "--weights", directory.file("x.safetensors"),
                                         "--source", "."}),
             Contains("x.safetensors"));
  Process usage(kAlone + Words{"train", "--epochs", "none"});
  CHECK(usage.wait() == 2);
}

}  // namespace
}  // namespace ps
