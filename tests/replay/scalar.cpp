// Does the servers' arithmetic again, one number after the other, from what replay_job recorded;
// shares no code with ps. Prints the same hash: XXH64 over the parameters in ascending order of
// their names, little-endian float32.
//
//   replay_scalar FOLDER
//
// sync mean: sum over ascending rank of n * g, divided by the sum of n. Momentum as in PyTorch, the
// first v being the first gradient; averages are replaced by the mean. Every operation rounds on
// its own.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>
#include <xxhash.h>

namespace {

constexpr float kLr = 0.05F;
constexpr float kMomentum = 0.9F;
constexpr float kWeightDecay = 0.001F;

struct Tensor {
  std::string name;
  bool average = false;
  std::vector<float> w;
  std::vector<float> v;
};

std::ifstream open(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  file.exceptions(std::ios::failbit | std::ios::badbit | std::ios::eofbit);
  return file;
}

void read(std::ifstream& file, std::vector<float>& values) {
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
}

void update(Tensor& tensor, const std::vector<std::vector<float>>& g, const std::vector<float>& n) {
  float total = 0;
  for (const float samples : n) total += samples;
  for (std::size_t i = 0; i < tensor.w.size(); ++i) {
    float sum = n[0] * g[0][i];
    for (std::size_t rank = 1; rank < n.size(); ++rank) sum = sum + n[rank] * g[rank][i];
    const float mean = sum / total;
    if (tensor.average) {
      tensor.w[i] = mean;
      continue;
    }
    tensor.v[i] = kMomentum * tensor.v[i] + (mean + kWeightDecay * tensor.w[i]);
    tensor.w[i] = tensor.w[i] - kLr * tensor.v[i];
  }
}

int replay(const std::string& folder) {
  std::ifstream table = open(folder + "/table.txt");
  table.exceptions(std::ios::goodbit);
  std::size_t workers = 0;
  std::size_t steps = 0;
  table >> workers >> steps;
  std::vector<float> n(workers);
  for (float& samples : n) table >> samples;
  std::vector<Tensor> tensors;
  std::string name;
  std::string kind;
  for (std::size_t size = 0; table >> name >> size >> kind;)
    tensors.push_back(
        {name, kind == "average", std::vector<float>(size), std::vector<float>(size)});
  if (workers == 0 || tensors.empty()) throw std::runtime_error(folder + "/table.txt: is damaged");

  std::ifstream initial = open(folder + "/initial.f32");
  for (Tensor& tensor : tensors) read(initial, tensor.w);
  std::vector<std::ifstream> recorded;
  for (std::size_t rank = 0; rank < workers; ++rank)
    recorded.push_back(open(folder + "/rank" + std::to_string(rank) + ".f32"));
  std::vector<std::vector<float>> g(workers);
  for (std::size_t step = 0; step < steps; ++step) {
    for (Tensor& tensor : tensors) {
      for (std::size_t rank = 0; rank < workers; ++rank) {
        g[rank].resize(tensor.w.size());
        read(recorded[rank], g[rank]);
      }
      update(tensor, g, n);
    }
  }
  std::ranges::sort(tensors, {}, &Tensor::name);
  std::vector<float> all;
  for (const Tensor& tensor : tensors) all.insert(all.end(), tensor.w.begin(), tensor.w.end());
  std::printf("%016llx\n",
              static_cast<unsigned long long>(XXH64(all.data(), all.size() * sizeof(float), 0)));
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 2) return replay(argv[1]);
  std::fprintf(stderr, "usage: replay_scalar FOLDER\n");
  return 2;
} catch (const std::exception& error) {
  std::fprintf(stderr, "replay_scalar: %s\n", error.what());
  return 1;
}
