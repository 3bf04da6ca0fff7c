// A job whose result must not depend on how it is run: 50 sync steps of three workers with batches
// of 64, 48 and 17 made-up images, a small network with BatchNorm, momentum, gradients that leave
// after random delays. Worker 0 prints the hash of all weights and averages. With --record, every
// worker writes what scalar.cpp needs to do the servers' arithmetic again.
//
//   replay_job [--record FOLDER]                          as a worker under psrun, or alone
//   replay_job --local SERVERS TRANSPORT [--record ...]   three workers in one process
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <ps/nn/nn.h>
#include <ps/ps.hpp>

namespace {

constexpr std::uint32_t kWorkers = 3;
constexpr std::array<std::int64_t, kWorkers> kBatches{64, 48, 17};
constexpr std::uint32_t kSteps = 50;
constexpr int kClasses = 4;

ps::nn::Graph build_network() {
  ps::nn::Graph graph({.channels = 2, .height = 8, .width = 8});
  ps::nn::Value x = graph.convolution(graph.input(),
                                      {.out = 8, .kernel = 3, .padding = 1, .bias = false}, "conv");
  x = graph.max_pool(graph.relu(graph.batch_norm(x, {}, "bn")), {.kernel = 2});
  x = graph.relu(graph.linear(x, 32, "fc1"));
  graph.softmax_cross_entropy(graph.linear(x, kClasses, "fc2"));
  return graph;
}

// Each class has its own mean, so that there is something to learn.
void make_batch(std::uint32_t rank,
                std::uint32_t step,
                std::span<float> images,
                std::span<std::int32_t> labels) {
  std::mt19937 random(1000 * step + rank);
  const auto uniform = [&] { return static_cast<float>(random() >> 8) * 0x1p-24F; };
  const std::size_t pixels = images.size() / labels.size();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    labels[i] = static_cast<std::int32_t>(random() % kClasses);
    for (float& pixel : images.subspan(i * pixels, pixels))
      pixel = uniform() + 0.2F * static_cast<float>(labels[i]);
  }
}

void sleep_at_random(std::mt19937& random) {
  std::this_thread::sleep_for(std::chrono::microseconds(random() % 1500));
}

class Recorder {
 public:
  Recorder(const std::string& folder, const ps::Model& model, std::uint32_t rank) : model_(model) {
    if (folder.empty()) return;
    file_.exceptions(std::ios::failbit | std::ios::badbit);
    if (rank == 0) {
      file_.open(folder + "/table.txt");
      file_ << kWorkers << ' ' << kSteps;
      for (const std::int64_t n : kBatches) file_ << ' ' << n;
      for (const ps::Parameter& parameter : model.parameters()) {
        const bool average = parameter.name().find("running_") != std::string::npos;
        file_ << '\n'
              << parameter.name() << ' ' << parameter.weights().size() << ' '
              << (average ? "average" : "trained");
      }
      file_.close();
      file_.open(folder + "/initial.f32", std::ios::binary);
      for (const ps::Parameter& parameter : model.parameters()) write(parameter.weights());
      file_.close();
    }
    file_.open(folder + "/rank" + std::to_string(rank) + ".f32", std::ios::binary);
  }
  void step() {
    if (!file_.is_open()) return;
    for (const ps::Parameter& parameter : model_.parameters()) write(parameter.gradients());
  }

 private:
  void write(std::span<const float> values) {
    const auto bytes = std::as_bytes(values);
    file_.write(reinterpret_cast<const char*>(bytes.data()),
                static_cast<std::streamsize>(bytes.size()));
  }
  const ps::Model& model_;
  std::ofstream file_;
};

void work(ps::Session& session, const std::string& folder) {
  const std::uint32_t rank = session.rank();
  if (session.workers() != kWorkers) {
    throw ps::Error(ps::ErrorCode::kInvalidArgument,
                    "expected 3 workers, got " + std::to_string(session.workers()));
  }
  ps::Model model = session.model(
      "replay", {.optimizer = ps::Sgd{.lr = 0.05F, .momentum = 0.9F, .weight_decay = 0.001F},
                 .chunk_bytes = 1024});
  ps::nn::Graph graph = build_network();
  for (std::size_t i = 0; i < graph.parameters().size(); ++i) {
    const ps::nn::Parameter& what = graph.parameters()[i];
    const ps::Parameter added = model.add(
        what.name, what.shape,
        [&](std::span<float> values) { ps::nn::initialize(what, 7, values); }, what.kind);
    graph.bind(i, added.weights(), added.gradients());
  }
  const std::int64_t batch = kBatches[rank];
  graph.prepare(batch);
  model.start();
  Recorder recorder(folder, model, rank);
  std::vector<float> images(static_cast<std::size_t>(batch * 2 * 8 * 8));
  std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
  std::mt19937 delays(std::random_device{}());
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    make_batch(rank, step, images, labels);
    model.begin_step(static_cast<double>(batch));
    graph.forward_backward(images, labels, [&](std::size_t i) {
      sleep_at_random(delays);
      model.parameters()[i].push_pull();
    });
    recorder.step();
    model.push_pull().wait();
  }
  session.finish();
  if (rank == 0) std::printf("%016llx\n", static_cast<unsigned long long>(model.hash()));
}

}  // namespace

int main(int argc, char** argv) try {
  std::vector<std::string> arguments = ps::program_arguments(argc, argv);
  std::string folder;
  if (arguments.size() >= 3 && arguments[arguments.size() - 2] == "--record") {
    folder = arguments.back();
    arguments.resize(arguments.size() - 2);
  }
  if (arguments.size() == 4 && arguments[1] == "--local") {
    ps::LocalCluster::run(kWorkers, [&](ps::Session& session) { work(session, folder); },
                          {.servers = static_cast<std::uint32_t>(std::stoul(arguments[2])),
                           .transport = arguments[3]});
    return 0;
  }
  if (arguments.size() != 1) {
    std::fprintf(stderr, "usage: replay_job [--local SERVERS TRANSPORT] [--record FOLDER]\n");
    return 2;
  }
  ps::Session session = ps::Session::open(argc, argv);
  work(session, folder);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "replay_job: %s\n", error.what());
  return 1;
}
