// A FIFO that the processes of a job keep open for writing, to see that all of them have ended.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "ops/temporary_directory.h"
#include "support/catch.h"

namespace ps::test {

class Witness {
 public:
  Witness() : path_(directory_.file("fifo")) {
    REQUIRE(mkfifo(path_.c_str(), 0600) == 0);
    fd_ = open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    REQUIRE(fd_ >= 0);
  }
  ~Witness() { close(fd_); }
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  // For shells that keep it open: "exec 9>PATH".
  [[nodiscard]] std::string hold() const { return "exec 9>" + path_ + "\n"; }
  // Within the deadline every process that had it open has closed it, and at least one had.
  [[nodiscard]] bool all_gone(int timeout_ms = 10000) const {
    pollfd polled{fd_, POLLIN, 0};
    return poll(&polled, 1, timeout_ms) == 1 && (polled.revents & POLLHUP) != 0;
  }

 private:
  TemporaryDirectory directory_;
  std::string path_;
  int fd_ = -1;
};

}  // namespace ps::test
