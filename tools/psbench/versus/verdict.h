// What a comparison comes to, in words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace psbench {

// Of one arm: of each run, in any order. Runs without the target are in `rates` alone.
struct Measured {
  std::string name;
  std::vector<double> rates;    // samples a second
  std::vector<double> samples;  // to the target
  std::vector<double> seconds;  // likewise
};

// Whether async is sooner at the target than sync, and why: gradients a second and samples to the
// target apart. It wins, or loses, only if the bootstrap's 95 % of the ratio of times say so.
std::string verdict(const Measured& sync, const Measured& async, std::uint64_t seed);

// What decides how much more workers can bring: of one worker's samples to the target with a batch
// of m and of `workers` m, the noise scale by McCandlish's formula, and what it means. Empty
// where either is unknown.
std::string noise_verdict(double samples_small,
                          double samples_large,
                          std::uint32_t workers,
                          std::uint32_t batch);

}  // namespace psbench
