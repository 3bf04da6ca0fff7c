// One test's operations on the CPU's backend and on the GPU's: inputs, poisoned outputs, and the
// comparison of what comes out. Where CUDA is emulated, also that a GPU's operations allocate
// nothing and that their bits do not depend on the order in which its threads happen to run.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <ps/device.h>

#include "kernels/backend.h"
#include "kernels/reference.h"
#include "support/catch.h"
#if defined(PS_CUDA_EMULATED)
#include "kernels/emulated.h"
#endif

namespace ps::kernels {

// A device for the test's duration, if this build emulates them.
class TestDevice {
 public:
  TestDevice() = default;
  TestDevice(const TestDevice&) = delete;
  TestDevice& operator=(const TestDevice&) = delete;
  ~TestDevice() {}  // NOLINT: so that one that does nothing is not an unused variable

  // Says so where the test cannot run.
  [[nodiscard]] static bool there() {
    const bool there = cuda_device_count() > 0;
    if (!there) WARN("PS_SKIP: no GPU");
    return there;
  }

#if defined(PS_CUDA_EMULATED)
 private:
  Emulated emulated_;
#endif
};

// One backend's arrays. They begin `shift` floats behind where an allocation does.
class Arrays {
 public:
  Arrays(Backend& backend, std::int64_t shift) : backend_(backend), shift_(shift) {}

  // Of the host's values; what becomes of them is no result.
  template <class T>
  T* in(const std::vector<T>& values) {
    return make(values, false);
  }
  // Poisoned with NaN.
  float* out(std::int64_t count) {
    return make(std::vector<float>(static_cast<std::size_t>(count),
                                   std::numeric_limits<float>::quiet_NaN()),
                true);
  }
  std::int32_t* out_indices(std::int64_t count) {
    return make(std::vector<std::int32_t>(static_cast<std::size_t>(count), -7), true);
  }
  // A result, too.
  float* inout(const std::vector<float>& values) { return make(values, true); }
  // Poisoned, and of no interest afterwards.
  float* workspace(std::int64_t count) {
    return make(std::vector<float>(static_cast<std::size_t>(count),
                                   std::numeric_limits<float>::quiet_NaN()),
                false);
  }

  [[nodiscard]] std::int64_t made() const { return static_cast<std::int64_t>(arrays_.size()); }

  // All results' bytes, array by array.
  [[nodiscard]] std::vector<std::vector<float>> results() {
    std::vector<std::vector<float>> results;
    for (const Array& array : arrays_) {
      if (!array.result) continue;
      std::vector<float> values(array.values->size() / sizeof(float));
      backend_.download(array.place, values.data(), array.values->size());
      backend_.wait();
      results.push_back(std::move(values));
    }
    return results;
  }

 private:
  struct Array {
    Memory memory;
    std::byte* place;
    std::shared_ptr<std::vector<std::byte>> values;  // as they were; the upload may come late
    bool result;
  };

  template <class T>
  T* make(const std::vector<T>& values, bool result) {
    static_assert(sizeof(T) == sizeof(float));
    const std::size_t bytes = values.size() * sizeof(T);
    const std::size_t before = static_cast<std::size_t>(shift_) * sizeof(float);
    auto kept = std::make_shared<std::vector<std::byte>>(bytes);
    if (bytes > 0) std::memcpy(kept->data(), values.data(), bytes);
    Array array{backend_.allocate(before + bytes), nullptr, kept, result};
    array.place = array.memory.bytes().data() + before;
    backend_.upload(kept->data(), array.place, bytes);
    arrays_.push_back(array);
    return reinterpret_cast<T*>(array.place);
  }

  Backend& backend_;
  std::int64_t shift_;
  std::vector<Array> arrays_;
};

// One NaN is as good as another.
inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float left, float right) {
    return std::bit_cast<std::uint32_t>(left) == std::bit_cast<std::uint32_t>(right) ||
           (std::isnan(left) && std::isnan(right));
  });
}

// On the GPU, twice: its threads run in another order each time.
template <class Run>
std::vector<std::vector<float>> results_on_gpu(const Run& run, std::int64_t shift) {
  std::vector<std::vector<float>> first;
  const auto gpu = cuda_backend(0);
  for (const std::uint64_t seed : {1U, 2U}) {
    Arrays arrays(*gpu, shift);
#if defined(PS_CUDA_EMULATED)
    cuda_host::seed(seed);
    const auto before = cuda_host::counters();
    run(*gpu, arrays);
    const auto after = cuda_host::counters();
    // An array's is one allocation, which waits until it is zeroed.
    REQUIRE(after.allocations - before.allocations <= arrays.made());
    REQUIRE(after.stream_waits - before.stream_waits <= arrays.made());
    REQUIRE(after.device_waits == before.device_waits);
#else
    run(*gpu, arrays);
#endif
    auto results = arrays.results();
    if (first.empty()) first = results;
    for (std::size_t i = 0; i < results.size(); ++i) {
      CAPTURE(seed, i);
      REQUIRE(same_bits(results[i], first[i]));
    }
  }
  return first;
}

// run(backend, arrays) on both: every result differs by at most `tolerance`, relative to 1 or more;
// 0: has the same bits.
template <class Run>
void compare_backends(double tolerance, const Run& run, std::int64_t shift = 0) {
  const TestDevice device;
  if (!TestDevice::there()) return;
  const auto cpu = cpu_backend();
  Arrays arrays(*cpu, shift);
  run(*cpu, arrays);
  const auto expected = arrays.results();
  const auto actual = results_on_gpu(run, shift);
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    CAPTURE(i);
    if (tolerance == 0.0) {
      REQUIRE(same_bits(actual[i], expected[i]));
    } else {
      REQUIRE(worst_error(actual[i], expected[i]) <= tolerance);
    }
  }
}

}  // namespace ps::kernels
