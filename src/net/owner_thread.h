// Which thread a transport belongs to: a run-time check in every build, and a capability that clang
// checks at compile time (-Wthread-safety): members that it guards are reached only after check().
#pragma once

#include <atomic>
#include <thread>

#include "base/assert.h"

#ifdef __clang__
#define PS_THREAD_ATTRIBUTE(attribute) __attribute__((attribute))
#else
#define PS_THREAD_ATTRIBUTE(attribute)
#endif
#define PS_CAPABILITY(name) PS_THREAD_ATTRIBUTE(capability(name))
#define PS_GUARDED_BY(capability) PS_THREAD_ATTRIBUTE(guarded_by(capability))
#define PS_REQUIRES(capability) PS_THREAD_ATTRIBUTE(requires_capability(capability))
#define PS_ASSERTS(capability) PS_THREAD_ATTRIBUTE(assert_capability(capability))

namespace ps::net {

class PS_CAPABILITY("thread") OwnerThread {
 public:
  // The first caller becomes the owner; asserts that every later one is the same thread.
  void check() noexcept PS_ASSERTS(this) {
    const std::thread::id self = std::this_thread::get_id();
    std::thread::id owner{};
    if (owner_.compare_exchange_strong(owner, self, std::memory_order_relaxed)) return;
    PS_ASSERT(owner == self, "a transport is used by the thread that used it first, and no other");
  }

  // For what may happen before the owner's loop runs (binding): allowed to the owner, and to any
  // thread while there is none yet. The caller hands the transport over by starting the thread.
  void check_or_unowned() const noexcept PS_ASSERTS(this) {
    const std::thread::id owner = owner_.load(std::memory_order_relaxed);
    PS_ASSERT(owner == std::thread::id{} || owner == std::this_thread::get_id(),
              "a transport in use is bound by its own thread");
  }

 private:
  std::atomic<std::thread::id> owner_{};
};

}  // namespace ps::net
