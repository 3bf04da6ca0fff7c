// Owned file descriptors, and a set of them behind one pollable descriptor (epoll).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace ps::net {

// Closes what it holds; -1 means nothing.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

class Epoll {
 public:
  Epoll();  // throws ps::Error(kUnavailable) when the process has no descriptor left
  // Wakes when `fd` is readable or at its end; `tag` names it in ready(). Throws
  // ps::Error(kUnavailable).
  void add(int fd, std::uint64_t tag);
  void remove(int fd) noexcept;  // before it is closed
  // The tags of what is ready now, at most tags.size(), without waiting: how many were written.
  std::size_t ready(std::span<std::uint64_t> tags) noexcept;
  [[nodiscard]] int fd() const noexcept { return epoll_.get(); }

 private:
  Descriptor epoll_;
};

// A one-shot alarm as a descriptor.
class Timer {
 public:
  Timer();  // throws ps::Error(kUnavailable)
  void arm_ms(int delay_ms) noexcept;
  void clear() noexcept;  // after it woke its poller
  [[nodiscard]] int fd() const noexcept { return timer_.get(); }

 private:
  Descriptor timer_;
};

}  // namespace ps::net
