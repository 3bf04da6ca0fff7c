// recording.h in a build without CUDA: there is no stream to record.
#include <ps/error.h>

#include "kernels/recording.h"

namespace ps::kernels {
namespace {

[[noreturn]] void unavailable() {
  throw Error(ErrorCode::kUnavailable, "this build of ps has no CUDA: build it with PS_CUDA=ON");
}

}  // namespace

Recording::Recording(Recording&& other) noexcept = default;
Recording& Recording::operator=(Recording&& other) noexcept = default;
Recording::~Recording() = default;

Recording Recording::of(StreamView /*stream*/, const std::function<void()>& /*enqueue*/) {
  unavailable();
}

void Recording::launch(StreamView /*stream*/) {
  unavailable();
}

}  // namespace ps::kernels
