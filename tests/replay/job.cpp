// A job whose result must not depend on how it is run: 50 sync rounds of three workers with batches
// of 64, 48 and 17 made-up images, a small network with BatchNorm, gradients that leave after
// random delays. Worker 0 prints the hash of all weights and averages, and with --rule lars that of
// their moving averages, too. With --record, every worker writes what scalar.cpp needs to do the
// servers' arithmetic again.
//
//   replay_job [--rule momentum|lars] [--backup] [--record FOLDER]     as a worker under psrun
//   replay_job ... --local SERVERS TRANSPORT                           three workers in one process
//
// --rule momentum: with a detector's schedule, unless --backup. --rule lars: LARS, clipped, with a
// moving average. --backup: two of the three make a round.
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
constexpr std::uint32_t kRounds = 50;
constexpr int kClasses = 4;
constexpr std::uint64_t kSeed = 7;  // of the initial weights

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

struct Settings {
  std::string rule = "momentum";
  bool backup = false;
  std::string record;         // folder
  std::uint32_t servers = 0;  // > 0: in one process
  std::string transport;
};

// A detector's: the three workers read 129 images a round.
void give_schedule(ps::ModelOptions& options) {
  options.schedule = {.kind = ps::Schedule::Kind::kLinear,
                      .warmup_samples = 15 * 129,
                      .total_samples = 45 * 129,
                      .final_factor = 0.0625F,
                      .epoch_samples = 1000,
                      .decay_from_start = true,
                      .warmup_momentum = 0.75F};
  options.groups = {{.pattern = "*.bias", .weight_decay = 0.0F, .warmup_start = 4.0F}};
}

ps::ModelOptions options_of(const Settings& settings) {
  ps::ModelOptions options{
      .optimizer = ps::Sgd{.lr = 0.05F, .momentum = 0.9F, .weight_decay = 0.001F},
      .chunk_bytes = 1024};
  options.mode = ps::Sync{.backup_workers = settings.backup ? 1U : 0U};
  if (settings.rule == "momentum") {
    if (!settings.backup) give_schedule(options);
    return options;
  }
  options.optimizer = ps::Lars{.lr = 2.0F, .momentum = 0.9F, .weight_decay = 0.001F, .eta = 0.02F};
  options.clip_norm = 0.75F;
  options.ema = {.decay = 0.9F, .tau = 10.0F};
  return options;
}

class Recorder {
 public:
  Recorder(const Settings& settings,
           const ps::nn::Graph& network,
           const ps::Model& model,
           std::uint32_t rank)
      : model_(model) {
    const std::string& folder = settings.record;
    if (folder.empty()) return;
    file_.exceptions(std::ios::failbit | std::ios::badbit);
    if (rank == 0) {
      write_table(settings);
      write_initial(folder, network);
    }
    file_.open(folder + "/rank" + std::to_string(rank) + ".f32", std::ios::binary);
  }
  // The gradients of a step that counted in this round.
  void step(std::uint64_t round) {
    if (!file_.is_open()) return;
    file_.write(reinterpret_cast<const char*>(&round), sizeof round);
    for (const ps::Parameter& parameter : model_.parameters()) write(parameter.gradients());
  }

 private:
  void write_table(const Settings& settings) {
    file_.open(settings.record + "/table.txt");
    const bool paced = settings.rule == "momentum" && !settings.backup;
    file_ << (paced ? "schedule" : settings.rule) << ' ' << kWorkers << ' ' << kRounds;
    for (const std::int64_t n : kBatches) file_ << ' ' << n;
    for (const ps::Parameter& parameter : model_.parameters()) {
      const bool average = parameter.name().find("running_") != std::string::npos;
      file_ << '\n'
            << parameter.name() << ' ' << parameter.weights().size() << ' '
            << parameter.shape().size() << ' ' << (average ? "average" : "trained");
    }
    file_.close();
  }
  // Not the weights after start(): with a backup worker a round may be over by then.
  void write_initial(const std::string& folder, const ps::nn::Graph& network) {
    file_.open(folder + "/initial.f32", std::ios::binary);
    for (const ps::nn::Parameter& what : network.parameters()) {
      std::vector<float> values(static_cast<std::size_t>(what.size()));
      ps::nn::initialize(what, kSeed, values);
      write(values);
    }
    file_.close();
  }
  void write(std::span<const float> values) {
    const auto bytes = std::as_bytes(values);
    file_.write(reinterpret_cast<const char*>(bytes.data()),
                static_cast<std::streamsize>(bytes.size()));
  }
  const ps::Model& model_;
  std::ofstream file_;
};

void work(ps::Session& session, const Settings& settings) {
  const std::uint32_t rank = session.rank();
  if (session.workers() != kWorkers) {
    throw ps::Error(ps::ErrorCode::kInvalidArgument,
                    "expected 3 workers, got " + std::to_string(session.workers()));
  }
  ps::Model model = session.model("replay", options_of(settings));
  ps::nn::Graph graph = build_network();
  for (std::size_t i = 0; i < graph.parameters().size(); ++i) {
    const ps::nn::Parameter& what = graph.parameters()[i];
    const ps::Parameter added = model.add(
        what.name, what.shape,
        [&](std::span<float> values) { ps::nn::initialize(what, kSeed, values); }, what.kind);
    graph.bind(i, added.weights(), added.gradients());
  }
  const std::int64_t batch = kBatches[rank];
  graph.prepare(batch);
  model.start();
  Recorder recorder(settings, graph, model, rank);
  std::vector<float> images(static_cast<std::size_t>(batch * 2 * 8 * 8));
  std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
  std::mt19937 delays(std::random_device{}());
  for (std::uint64_t round = 0; round < kRounds;) {
    make_batch(rank, static_cast<std::uint32_t>(round), images, labels);
    model.begin_step(static_cast<double>(batch));
    graph.forward_backward(images, labels, [&](std::size_t i) {
      sleep_at_random(delays);
      model.parameters()[i].push_pull();
    });
    const ps::StepInfo info = model.push_pull().wait();
    if (info.late == 0) recorder.step(round);
    round = info.version;
  }
  session.barrier();
  unsigned long long average = 0;
  if (model.options().ema.decay > 0) {
    model.pull_average().wait();
    average = model.hash();
  }
  session.finish();
  if (rank == 0)
    std::printf("%016llx-%016llx\n", static_cast<unsigned long long>(model.hash()), average);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> arguments = ps::program_arguments(argc, argv);
  Settings settings;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    const bool one_more = i + 1 < arguments.size();
    if (name == "--backup") {
      settings.backup = true;
    } else if (name == "--rule" && one_more) {
      settings.rule = arguments[++i];
    } else if (name == "--record" && one_more) {
      settings.record = arguments[++i];
    } else if (name == "--local" && i + 2 < arguments.size()) {
      settings.servers = static_cast<std::uint32_t>(std::stoul(arguments[++i]));
      settings.transport = arguments[++i];
    } else {
      std::fprintf(stderr, "replay_job: unknown argument %s\n", name.c_str());
      return 2;
    }
  }
  if (settings.servers > 0) {
    ps::LocalCluster::run(kWorkers, [&](ps::Session& session) { work(session, settings); },
                          {.servers = settings.servers, .transport = settings.transport});
    return 0;
  }
  ps::Session session = ps::Session::open(argc, argv);
  work(session, settings);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "replay_job: %s\n", error.what());
  return 1;
}
