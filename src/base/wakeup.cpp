#include "base/wakeup.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <sys/eventfd.h>
#include <unistd.h>

#include <ps/error.h>

namespace ps {

Wakeup::Wakeup() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) {
    throw Error(ErrorCode::kUnavailable, std::string("cannot make an eventfd: ") +
                                             std::strerror(errno) +
                                             "; raise the limit of open files (ulimit -n)");
  }
}

Wakeup::~Wakeup() {
  ::close(fd_);
}

// Not const, though no member changes: they change what the other side sees.
void Wakeup::ring() noexcept {  // NOLINT(readability-make-member-function-const)
  const std::uint64_t one = 1;
  // EAGAIN means that the counter is full, so the reader will wake up anyway.
  [[maybe_unused]] const auto written = ::write(fd_, &one, sizeof one);
}

void Wakeup::clear() noexcept {  // NOLINT(readability-make-member-function-const)
  std::uint64_t count = 0;
  [[maybe_unused]] const auto read = ::read(fd_, &count, sizeof count);
}

}  // namespace ps
