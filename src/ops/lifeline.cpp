#include "ops/lifeline.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <ps/error.h>

namespace ps::ops {
namespace {

// True at the end of file. Bytes that someone writes mean nothing.
bool at_end(int fd) {
  std::array<char, 64> bytes{};
  const ssize_t got = read(fd, bytes.data(), bytes.size());
  return got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
}

}  // namespace

Lifeline::Lifeline(int fd, const std::string& name) : fd_(fd) {
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "cluster.lifeline_fd = " + std::to_string(fd) +
                    ": expected an open descriptor, inherited from the process that started this "
                    "one");
  }
  const std::string line = name + ": the process that started it is gone: ending\n";
  thread_ = std::jthread([this, line] { watch(line); });
}

Lifeline::~Lifeline() {
  stop_.ring();
  thread_.join();
  close(fd_);
}

void Lifeline::watch(const std::string& line) const noexcept {
  for (;;) {
    std::array<pollfd, 2> polled{pollfd{fd_, POLLIN, 0}, pollfd{stop_.fd(), POLLIN, 0}};
    if (poll(polled.data(), polled.size(), -1) < 0) continue;  // EINTR
    if (polled[1].revents != 0) return;
    if (polled[0].revents == 0 || !at_end(fd_)) continue;
    // Not exit(): other threads are at work, and there is nobody left to report to.
    [[maybe_unused]] const ssize_t put = write(STDERR_FILENO, line.data(), line.size());
    _exit(kExitCode);
  }
}

}  // namespace ps::ops
