// The emulator's seeded choices.
#pragma once

#include <cstdint>

namespace cuda_host {

class Choices {
 public:
  void seed(std::uint64_t value) { state_ = value; }
  // Of 0 to bound - 1. REQUIRES: bound > 0.
  std::uint32_t below(std::uint32_t bound) {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t x = state_;
    x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
    return static_cast<std::uint32_t>(((x >> 32U) * bound) >> 32U);
  }

 private:
  std::uint64_t state_ = 0;
};

}  // namespace cuda_host
