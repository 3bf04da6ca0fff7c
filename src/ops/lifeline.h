// Ends the process when the one that started it is gone: a thread waits for the end of file on an
// inherited pipe whose only writer is that process. (PR_SET_PDEATHSIG would miss grandchildren, as
// behind a shell.)
#pragma once

#include <string>
#include <thread>

#include "base/wakeup.h"

namespace ps::ops {

class Lifeline {
 public:
  // What the process ends with.
  static constexpr int kExitCode = 5;

  // Takes `fd` over, the read end of the pipe. `name` stands in the line that is printed to
  // standard error at the end ("worker 1"). Throws ps::Error(kInvalidArgument) when `fd` is not an
  // open descriptor.
  Lifeline(int fd, const std::string& name);
  ~Lifeline();  // stops to watch
  Lifeline(const Lifeline&) = delete;
  Lifeline& operator=(const Lifeline&) = delete;

 private:
  void watch(const std::string& line) const noexcept;

  int fd_;
  Wakeup stop_;
  std::jthread thread_;
};

}  // namespace ps::ops
