// Which kernels this process has run, and how often: appended at its exit to the file that the
// environment's PS_EMULATED_LAUNCHES names, for scripts/cuda-launches. Without it nothing is kept.
#pragma once

#include <cstdint>
#include <map>

namespace cuda_host {

class LaunchList {
 public:
  LaunchList();
  void add(const void* kernel) {
    if (path_ != nullptr) ++counts_[kernel];
  }

 private:
  const char* path_;
  std::map<const void*, std::int64_t> counts_;
};

}  // namespace cuda_host
