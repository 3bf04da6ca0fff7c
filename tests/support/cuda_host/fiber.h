// Stacks that take turns on one thread, known to AddressSanitizer and ThreadSanitizer.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace cuda_host {

class Fiber {
 public:
  // The one that is running: the host thread's own stack. It is to be entered anew (adopt()) before
  // each switch from a host thread, which need not be the last one.
  Fiber() = default;
  // A stack of its own with a page below it that faults. `entry` never returns.
  explicit Fiber(void (*entry)());
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  // The host's stack is the calling thread's.
  void adopt();
  // Leaves `this`, which is running, for `other`; returns when something switches back.
  void switch_to(Fiber& other);
  // What an entry calls first.
  static void entered();

  unsigned thread = 0;  // the thread of the block that runs on it, or is to begin on it

 private:
  void* stack_pointer_ = nullptr;
  void* mapping_ = nullptr;
  const void* bottom_ = nullptr;  // of the stack; this and the next are AddressSanitizer's
  [[maybe_unused]] std::size_t size_ = 0;
  [[maybe_unused]] void* fake_stack_ = nullptr;
  [[maybe_unused]] void* sanitizer_ = nullptr;  // ThreadSanitizer's own
#if !defined(__x86_64__)
  ucontext_t context_{};
#endif
};

}  // namespace cuda_host
