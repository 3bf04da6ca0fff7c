// The GPU's backend: its memory. Operations are defined in X_cuda.cu.
#include "kernels/blas_cuda.h"
#include "kernels/cuda_backend.h"

namespace ps::kernels {
namespace {

// What the operations that hand on most need: see channels.cuh and softmax_cross_entropy_cuda.cu.
constexpr std::size_t kScratchBytes = std::size_t{64} * 1024;

}  // namespace

CudaBackend::CudaBackend(int device, Precision precision)
    : stream_(device),
      scratch_(device, kScratchBytes),
      blas_(std::make_unique<Blas>(stream_, precision)) {}

CudaBackend::~CudaBackend() = default;

Device CudaBackend::device() const {
  return {.kind = DeviceKind::kCuda, .index = stream_.view().device()};
}

Memory CudaBackend::allocate(std::size_t bytes) {
  auto buffer = std::make_shared<DeviceBuffer>(stream_.view().device(), bytes);
  const std::span<std::byte> memory(buffer->data(), bytes);
  return {std::move(buffer), memory};
}

void CudaBackend::copy(const float* from, float* to, std::int64_t count) {
  if (count > 0) copy_on_device(to, from, static_cast<std::size_t>(count) * sizeof(float), stream_);
}

void CudaBackend::zero(float* to, std::int64_t count) {
  if (count > 0) fill_zero(to, static_cast<std::size_t>(count) * sizeof(float), stream_);
}

void CudaBackend::upload(const void* host, void* to, std::size_t bytes) {
  if (bytes > 0) copy_to_device(to, host, bytes, stream_);
}

void CudaBackend::download(const void* from, void* host, std::size_t bytes) {
  if (bytes > 0) copy_to_host(host, from, bytes, stream_);
}

void CudaBackend::wait() {
  stream_.synchronize();
}

std::unique_ptr<Backend> cuda_backend(int device, Precision precision) {
  return std::make_unique<CudaBackend>(device, precision);
}

}  // namespace ps::kernels
