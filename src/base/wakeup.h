// An eventfd: any thread rings it, one thread polls its descriptor and clears it.
#pragma once

namespace ps {

class Wakeup {
 public:
  Wakeup();  // throws ps::Error(kUnavailable) when the process has no descriptor left
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  void ring() noexcept;   // any thread; never blocks
  void clear() noexcept;  // the polling thread, before it looks for what it was woken for
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace ps
