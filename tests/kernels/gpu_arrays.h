// Arrays on a GPU for the tests of X_cuda.h: an emulated one in a build with PS_CUDA=EMULATED, else
// the machine's first, if it has one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <ps/device.h>

#include "kernels/device.h"
#include "support/catch.h"

#if defined(PS_CUDA_EMULATED)
#include "kernels/emulated.h"
#endif

namespace ps::kernels {

// The GPU of one test, if there is one.
class Gpu {
 public:
  Gpu() : there_(cuda_device_count() > 0) {
    if (!there_) WARN("PS_SKIP: " << why_no_cuda());
  }
  explicit operator bool() const { return there_; }

 private:
#if defined(PS_CUDA_EMULATED)
  Emulated emulated_;
#endif
  bool there_;
};

// An emulated GPU's threads and streams run in another order from now on; a real one's do so
// anyway.
inline void another_order([[maybe_unused]] std::uint64_t seed) {
#if defined(PS_CUDA_EMULATED)
  cuda_host::seed(seed);
#endif
}

// A vector's copy on the device, `skipped` bytes behind an address that is aligned to 256.
template <class T>
class OnGpu {
 public:
  OnGpu(const std::vector<T>& values, StreamView stream, std::size_t skipped = 0)
      : stream_(stream),
        count_(values.size()),
        skipped_(skipped),
        buffer_(stream.device(), skipped + values.size() * sizeof(T) + 1) {
    copy_to_device(buffer_.data() + skipped, values.data(), values.size() * sizeof(T), stream);
    stream.synchronize();
  }

  [[nodiscard]] T* data() const { return reinterpret_cast<T*>(buffer_.data() + skipped_); }

  [[nodiscard]] std::vector<T> host() const {
    std::vector<T> values(count_);
    copy_to_host(values.data(), data(), count_ * sizeof(T), stream_);
    stream_.synchronize();
    return values;
  }

 private:
  StreamView stream_;
  std::size_t count_;
  std::size_t skipped_;
  DeviceBuffer buffer_;
};

template <class T>
bool equal_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace ps::kernels
