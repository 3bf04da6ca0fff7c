#include "net/descriptor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <ps/error.h>

namespace ps::net {
namespace {

[[noreturn]] void throw_unavailable(const char* what) {
  throw Error(ErrorCode::kUnavailable, std::string(what) + ": " + std::strerror(errno) +
                                           "; raise the limit of open files (ulimit -n)");
}

}  // namespace

void Descriptor::reset(int fd) noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Epoll::Epoll() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw_unavailable("cannot make an epoll descriptor");
}

void Epoll::add(int fd, std::uint64_t tag) {
  ::epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    throw_unavailable("cannot watch a descriptor");
  }
}

void Epoll::remove(int fd) noexcept {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

std::size_t Epoll::ready(std::span<std::uint64_t> tags) noexcept {
  std::array<::epoll_event, 64> events{};
  const int limit = static_cast<int>(std::min(tags.size(), events.size()));
  const int count = ::epoll_wait(epoll_.get(), events.data(), limit, 0);
  for (int i = 0; i < count; ++i) {
    tags[static_cast<std::size_t>(i)] = events[static_cast<std::size_t>(i)].data.u64;
  }
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

Timer::Timer() : timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
  if (!timer_) throw_unavailable("cannot make a timer descriptor");
}

void Timer::arm_ms(int delay_ms) noexcept {
  ::itimerspec spec{};
  spec.it_value.tv_sec = delay_ms / 1000;
  spec.it_value.tv_nsec = static_cast<long>(delay_ms % 1000) * 1'000'000;
  ::timerfd_settime(timer_.get(), 0, &spec, nullptr);
}

void Timer::clear() noexcept {
  std::uint64_t expirations = 0;
  [[maybe_unused]] const auto read = ::read(timer_.get(), &expirations, sizeof expirations);
}

}  // namespace ps::net
