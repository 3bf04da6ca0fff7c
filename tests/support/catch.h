// The one way to Catch2: every test includes this, so that it is precompiled once.
#pragma once

#include <mutex>

#include <catch2/catch.hpp>

namespace ps::test {

inline std::mutex& check_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace ps::test

// CHECK where several threads run at once, which Catch2 is not made for.
#define PS_CHECK_IN_THREAD(...)                          \
  do {                                                   \
    const bool held = (__VA_ARGS__);                     \
    const std::lock_guard lock(ps::test::check_mutex()); \
    INFO(#__VA_ARGS__);                                  \
    CHECK(held);                                         \
  } while (false)
