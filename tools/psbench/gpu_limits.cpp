#include "gpu_limits.h"

#include <cstdint>
#include <functional>
#include <vector>

#include "base/buffer.h"
#include "kernels/backend.h"
#include "kernels/device.h"
#include "wall.h"

namespace psbench {
namespace {

using ps::kernels::DeviceBuffer;
using ps::kernels::PinnedBuffer;
using ps::kernels::Stream;

// Seconds of one `enqueue`, of many in a row; the first round warms up.
double seconds_each(const std::function<void()>& enqueue,
                    const std::function<void()>& wait,
                    int in_a_row,
                    int rounds) {
  std::vector<double> seconds;
  for (int round = 0; round <= rounds; ++round) {
    const double spent = wall_seconds_of([&] {
      for (int i = 0; i < in_a_row; ++i) enqueue();
      wait();
    });
    if (round > 0) seconds.push_back(spent / in_a_row);
  }
  return spread_of(seconds).median;
}

void measure_memory(int device, std::size_t bytes, int rounds, GpuLimits& limits) {
  const auto backend = ps::kernels::cuda_backend(device);
  const ps::Memory from = backend->allocate(bytes);
  const ps::Memory to = backend->allocate(bytes);
  const auto* const x = from.as<float>().data();
  auto* const y = to.as<float>().data();
  const auto count = static_cast<std::int64_t>(bytes / sizeof(float));
  const auto wait = [&] { backend->wait(); };
  const double moved = 2e-9 * static_cast<double>(bytes);
  limits.copy = moved / seconds_each([&] { backend->copy(x, y, count); }, wait, 20, rounds);
  limits.map = moved / seconds_each([&] { backend->activate({}, x, y, count); }, wait, 20, rounds);
}

double measure_products(int device, ps::Precision precision, std::int64_t side, int rounds) {
  const auto backend = ps::kernels::cuda_backend(device, precision);
  const auto count = static_cast<std::size_t>(side * side);
  const ps::Memory a = backend->allocate(count * sizeof(float));
  const ps::Memory b = backend->allocate(count * sizeof(float));
  const ps::Memory c = backend->allocate(count * sizeof(float));
  // Not zeros: they take less power, and clocks follow it.
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>((i * 2654435761U >> 8) % 65536) / 65536.0F - 0.5F;
  }
  backend->upload(values.data(), a.as<float>().data(), count * sizeof(float));
  backend->upload(values.data(), b.as<float>().data(), count * sizeof(float));
  const ps::kernels::Linear linear{.batch = side, .inputs = side, .outputs = side};
  const double seconds = seconds_each(
      [&] {
        backend->linear(linear, a.as<float>().data(), b.as<float>().data(), nullptr,
                        c.as<float>().data());
      },
      [&] { backend->wait(); }, 3, rounds);
  const auto n = static_cast<double>(side);
  return 2e-12 * n * n * n / seconds;
}

}  // namespace

std::string name_of(ps::Precision precision) {
  switch (precision) {
    case ps::Precision::kTf32:
      return "tf32";
    case ps::Precision::kBf16:
      return "bf16";
    case ps::Precision::kFp16:
      return "fp16";
    case ps::Precision::kFp32:
      break;
  }
  return "fp32";
}

double transfer_seconds(int device, std::size_t bytes, bool up, int times) {
  const Stream stream(device);
  const DeviceBuffer there(device, bytes);
  const PinnedBuffer here(bytes);
  auto* const host = here.as<std::byte>();
  const auto copy = [&] {
    if (up) {
      ps::kernels::copy_to_device(there.data(), host, bytes, stream);
    } else {
      ps::kernels::copy_to_host(host, there.data(), bytes, stream);
    }
  };
  return seconds_each(
      copy, [&] { stream.synchronize(); }, 1, times);
}

GpuLimits measure_gpu_limits(int device, bool quick) {
  GpuLimits limits;
  const int rounds = quick ? 1 : 7;
  const std::size_t bytes = std::size_t{1} << (quick ? 16 : 29);
  measure_memory(device, bytes, rounds, limits);
  const std::size_t sent = std::size_t{1} << (quick ? 16 : 28);
  const double gigabytes = 1e-9 * static_cast<double>(sent);
  limits.up = gigabytes / transfer_seconds(device, sent, true, rounds);
  limits.down = gigabytes / transfer_seconds(device, sent, false, rounds);
  for (std::size_t i = 0; i < kPrecisions.size(); ++i) {
    limits.products[i] = measure_products(device, kPrecisions[i], quick ? 64 : 8192, rounds);
  }
  return limits;
}

}  // namespace psbench
