// Does the servers' arithmetic again, one number after the other, from what replay_job recorded;
// shares no code with ps. Prints the same hashes: XXH64 over the parameters in ascending order of
// their names, little-endian float32, of the weights and of their moving averages.
//
//   replay_scalar FOLDER
//
// With a schedule, the rate decays linearly from epoch to epoch, under a warm-up of rate and
// momentum in which the rate of biases, which do not decay, falls.
//
// Sync mean: sum over ascending rank of n * g over those whose steps counted in the round, divided
// by the sum of n. Momentum as in PyTorch, the first v being the first gradient; averages are
// replaced by the mean. Every operation rounds on its own. Norms: float64, chunks of 1 KiB, in each
// 16 lanes that are added in order.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>
#include <xxhash.h>

namespace {

using Floats = std::vector<float>;

constexpr float kMomentum = 0.9F;
constexpr float kWeightDecay = 0.001F;
constexpr float kSgdLr = 0.05F;
constexpr float kFirstMomentum = 0.75F;  // schedule: at sample 0
constexpr double kBiasFactor = 4;        // likewise, on the rate
constexpr double kLastFactor = 0.0625;   // from kLastSample on
constexpr std::uint64_t kRoundSamples = 129;
constexpr std::uint64_t kWarmupSamples = 15 * kRoundSamples;
constexpr std::uint64_t kLastSample = 45 * kRoundSamples;
constexpr std::uint64_t kEpochSamples = 1000;
constexpr float kLarsLr = 2.0F;
constexpr float kEta = 0.02F;
constexpr float kEpsilon = 1e-8F;
constexpr float kClipNorm = 0.75F;
constexpr float kEmaDecay = 0.9F;
constexpr float kEmaTau = 10.0F;
constexpr std::size_t kChunk = 256;  // elements

struct Tensor {
  std::string name;
  std::size_t dimensions = 0;
  bool average = false;
  Floats w;
  Floats v;
  Floats ema;
  Floats mean;  // of the round under way
};

std::ifstream open(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  return file;
}

void read(std::ifstream& file, Floats& values) {
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
  if (!file) throw std::runtime_error("a recording ends too early");
}

double squares(const Floats& values) {
  double total = 0;
  for (std::size_t start = 0; start < values.size(); start += kChunk) {
    double lanes[16] = {};
    for (std::size_t i = start; i < std::min(values.size(), start + kChunk); ++i)
      lanes[(i - start) % 16] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
    double sum = 0;
    for (const double lane : lanes) sum += lane;
    total += sum;
  }
  return total;
}

class Replay {
 public:
  explicit Replay(const std::string& folder);
  void run();
  void print();

 private:
  struct Step {
    std::vector<Floats> gradients;  // by tensor
  };
  void load(const std::string& path, std::size_t rank);
  void reduce(std::uint64_t round);
  void pace(std::uint64_t samples);
  void update();

  bool lars_ = false;
  bool paced_ = false;
  float lr_ = kSgdLr;
  float bias_lr_ = kSgdLr;
  float momentum_ = kMomentum;
  std::size_t rounds_ = 0;
  Floats n_;
  std::vector<Tensor> tensors_;
  std::vector<std::map<std::uint64_t, Step>> steps_;  // by rank and round
};

Replay::Replay(const std::string& folder) {
  std::ifstream table = open(folder + "/table.txt");
  std::string rule;
  std::size_t workers = 0;
  table >> rule >> workers >> rounds_;
  lars_ = rule == "lars";
  paced_ = rule == "schedule";
  n_.resize(workers);
  for (float& samples : n_) table >> samples;
  std::string name;
  std::string kind;
  std::size_t dimensions = 0;
  for (std::size_t size = 0; table >> name >> size >> dimensions >> kind;) {
    tensors_.push_back({.name = name,
                        .dimensions = dimensions,
                        .average = kind == "average",
                        .w = Floats(size),
                        .v = Floats(size),
                        .ema = {},
                        .mean = Floats(size)});
  }
  if (workers == 0 || tensors_.empty()) throw std::runtime_error(folder + "/table.txt: is damaged");
  std::ifstream initial = open(folder + "/initial.f32");
  for (Tensor& tensor : tensors_) {
    read(initial, tensor.w);
    tensor.ema = tensor.w;
  }
  steps_.resize(workers);
  for (std::size_t rank = 0; rank < workers; ++rank)
    load(folder + "/rank" + std::to_string(rank) + ".f32", rank);
}

void Replay::load(const std::string& path, std::size_t rank) {
  std::ifstream file = open(path);
  std::uint64_t round = 0;
  while (file.read(reinterpret_cast<char*>(&round), sizeof round)) {
    Step& step = steps_[rank][round];
    for (const Tensor& tensor : tensors_) {
      step.gradients.emplace_back(tensor.w.size());
      read(file, step.gradients.back());
    }
  }
}

void Replay::reduce(std::uint64_t round) {
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    Floats& mean = tensors_[t].mean;
    float total = 0;
    bool first = true;
    for (std::size_t rank = 0; rank < n_.size(); ++rank) {
      const auto step = steps_[rank].find(round);
      if (step == steps_[rank].end()) continue;
      const Floats& g = step->second.gradients[t];
      for (std::size_t i = 0; i < g.size(); ++i)
        mean[i] = first ? n_[rank] * g[i] : mean[i] + n_[rank] * g[i];
      total += n_[rank];
      first = false;
    }
    if (first) throw std::runtime_error("nobody contributed to round " + std::to_string(round));
    for (float& value : mean) value = value / total;
  }
}

void Replay::pace(std::uint64_t samples) {
  const std::uint64_t epoch_start = samples - samples % kEpochSamples;
  const double left = epoch_start >= kLastSample ? 0.0
                                                 : 1.0 - static_cast<double>(epoch_start) /
                                                             static_cast<double>(kLastSample);
  const double decayed = kLastFactor + (1.0 - kLastFactor) * left;
  const double share = samples < kWarmupSamples
                           ? static_cast<double>(samples) / static_cast<double>(kWarmupSamples)
                           : 1.0;
  const auto rate = [&](double start) {
    const double factor = share < 1 ? start + (decayed - start) * share : decayed;
    return static_cast<float>(static_cast<double>(kSgdLr) * factor);
  };
  lr_ = rate(0);
  bias_lr_ = rate(kBiasFactor);
  const double first = static_cast<double>(kFirstMomentum);
  momentum_ = share < 1
                  ? static_cast<float>(first + (static_cast<double>(kMomentum) - first) * share)
                  : kMomentum;
}

void Replay::update() {
  double total = 0;
  for (const Tensor& tensor : tensors_) total += tensor.average ? 0.0 : squares(tensor.mean);
  const auto clip =
      static_cast<float>(std::min(1.0, static_cast<double>(kClipNorm) / (std::sqrt(total) + 1e-6)));
  for (Tensor& tensor : tensors_) {
    if (tensor.average) {
      tensor.w = tensor.mean;
      continue;
    }
    float rate = kLarsLr;
    const double weights = std::sqrt(squares(tensor.w));
    const double gradient = std::sqrt(squares(tensor.mean));
    if (tensor.dimensions > 1 && weights > 0 && gradient > 0) {
      const double trust =
          static_cast<double>(kEta) * weights /
          (static_cast<double>(clip) * gradient + static_cast<double>(kWeightDecay) * weights +
           static_cast<double>(kEpsilon));
      rate = kLarsLr * static_cast<float>(trust);
    }
    const bool is_bias = paced_ && tensor.name.ends_with(".bias");
    const float lr = is_bias ? bias_lr_ : lr_;
    const float decay = is_bias ? 0.0F : kWeightDecay;
    for (std::size_t i = 0; i < tensor.w.size(); ++i) {
      float& w = tensor.w[i];
      float& v = tensor.v[i];
      if (lars_) {
        const float g = clip == 1.0F ? tensor.mean[i] : clip * tensor.mean[i];
        v = kMomentum * v + rate * (g + kWeightDecay * w);
        w = w - v;
      } else {
        v = momentum_ * v + (tensor.mean[i] + decay * w);
        w = w - lr * v;
      }
    }
  }
}

void Replay::run() {
  for (std::uint64_t round = 0; round < rounds_; ++round) {
    reduce(round);
    if (paced_) pace(round * kRoundSamples);
    update();
    const double keep = static_cast<double>(kEmaDecay) *
                        -std::expm1(-static_cast<double>(round + 1) / static_cast<double>(kEmaTau));
    const auto old_share = static_cast<float>(keep);
    const auto new_share = static_cast<float>(1.0 - keep);
    for (Tensor& tensor : tensors_) {
      for (std::size_t i = 0; i < tensor.w.size(); ++i)
        tensor.ema[i] = old_share * tensor.ema[i] + new_share * tensor.w[i];
    }
  }
}

void Replay::print() {
  std::ranges::sort(tensors_, {}, &Tensor::name);
  Floats all;
  Floats averages;
  for (const Tensor& tensor : tensors_) {
    all.insert(all.end(), tensor.w.begin(), tensor.w.end());
    averages.insert(averages.end(), tensor.ema.begin(), tensor.ema.end());
  }
  const auto hash = [](const Floats& values) {
    return static_cast<unsigned long long>(XXH64(values.data(), values.size() * sizeof(float), 0));
  };
  std::printf("%016llx-%016llx\n", hash(all), lars_ ? hash(averages) : 0ULL);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: replay_scalar FOLDER\n");
    return 2;
  }
  Replay replay(argv[1]);
  replay.run();
  replay.print();
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "replay_scalar: %s\n", error.what());
  return 1;
}
