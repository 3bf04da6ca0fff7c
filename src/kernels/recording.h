// Work of one stream that is enqueued once and launched as often as wanted, in one call: a CUDA
// graph. Launching costs the host a few microseconds, however many kernels it holds.
//
// What recorded work names is named for good: addresses, sizes, scalars and the arguments of
// kernels are those of the recording. The memory, the host's included, is the caller's to keep for
// as long as there are launches; a copy from the host reads what is there when it runs.
//
// While it records, nothing may wait or ask whether something is done, nothing may be allocated or
// freed by that thread, and no event may be waited for that was not recorded within it; each
// spoils the recording. Events recorded within order its work, streams that fork and join
// included, and tell nothing to anybody else. Libraries set themselves up at their first use: do
// the work once directly before it is recorded.
#pragma once

#include <functional>

#include "kernels/device.h"

struct CUgraphExec_st;

namespace ps::kernels {

class Recording {
 public:
  // Empty: there is nothing to launch.
  Recording() = default;
  Recording(Recording&& other) noexcept;
  Recording& operator=(Recording&& other) noexcept;
  // Launches that are under way end well.
  ~Recording();

  // Of all that `enqueue` enqueues on the stream, by the calling thread; none of it runs.
  // Allocates, and enqueues its own upload to the device. Throws what `enqueue` throws, and
  // Error{kUnavailable} for what cannot be recorded; the stream then works as before.
  static Recording of(StreamView stream, const std::function<void()>& enqueue);

  // Enqueues the recorded work, on any stream of the device it was recorded on. It begins when its
  // last launch is done. By one thread at a time. Throws Error{kInvalidArgument} if it is empty
  // or the stream another device's.
  void launch(StreamView stream);

  explicit operator bool() const noexcept { return graph_ != nullptr; }

 private:
  CUgraphExec_st* graph_ = nullptr;
  int device_ = 0;
};

}  // namespace ps::kernels
