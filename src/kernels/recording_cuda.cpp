// recording.h over CUDA's graphs, a GPU's or the emulated ones.
#include <string>
#include <utility>

#include <cuda_runtime.h>

#include <ps/error.h>

#include "kernels/recording.h"

namespace ps::kernels {
namespace {

// Where another error is under way, or where nobody could be told.
void ignore(cudaError_t status) noexcept {
  if (status != cudaSuccess) cudaGetLastError();
}

// A stream's capture, ended in any case, and what was captured.
class Capture {
 public:
  explicit Capture(cudaStream_t stream) : stream_(stream) {
    // Other threads may allocate and wait meanwhile.
    PS_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() {
    if (!ended_) ignore(cudaStreamEndCapture(stream_, &graph_));
    if (graph_ != nullptr) ignore(cudaGraphDestroy(graph_));
  }

  cudaGraph_t end() {
    ended_ = true;  // even by a failure
    PS_CUDA_CHECK(cudaStreamEndCapture(stream_, &graph_));
    return graph_;
  }

 private:
  cudaStream_t stream_;
  cudaGraph_t graph_ = nullptr;
  bool ended_ = false;
};

}  // namespace

Recording::Recording(Recording&& other) noexcept
    : graph_(std::exchange(other.graph_, nullptr)), device_(other.device_) {}

Recording& Recording::operator=(Recording&& other) noexcept {
  std::swap(graph_, other.graph_);
  std::swap(device_, other.device_);
  return *this;
}

Recording::~Recording() {
  if (graph_ != nullptr) ignore(cudaGraphExecDestroy(graph_));
}

Recording Recording::of(StreamView stream, const std::function<void()>& enqueue) {
  const DeviceGuard guard(stream.device());
  Capture capture(stream.handle());
  enqueue();
  Recording made;
  made.device_ = stream.device();
  // WithFlags has the same parameters in CUDA 11, 12 and 13.
  PS_CUDA_CHECK(cudaGraphInstantiateWithFlags(&made.graph_, capture.end(), 0));
  PS_CUDA_CHECK(cudaGraphUpload(made.graph_, stream.handle()));
  return made;
}

void Recording::launch(StreamView stream) {
  if (graph_ == nullptr) {
    throw Error(ErrorCode::kInvalidArgument, "an empty Recording was launched: record it first");
  }
  if (stream.device() != device_) {
    throw Error(ErrorCode::kInvalidArgument,
                "expected a stream of device " + std::to_string(device_) +
                    ", where the work was recorded, got one of device " +
                    std::to_string(stream.device()));
  }
  PS_CUDA_CHECK(cudaGraphLaunch(graph_, stream.handle()));
}

}  // namespace ps::kernels
