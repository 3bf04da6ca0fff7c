// BoundedQueue: order, its limit, and a hand-over between threads.
#include "base/queue.h"

#include <memory>
#include <thread>

#include "support/catch.h"

using ps::BoundedQueue;

TEST_CASE("queue: gives back in the order of arrival", "[unit]") {
  BoundedQueue<int> queue(3);
  CHECK_FALSE(queue.try_pop());
  for (int i = 0; i < 3; ++i) CHECK(queue.try_push(int{i}));
  for (int i = 0; i < 3; ++i) CHECK(queue.try_pop() == i);
  CHECK_FALSE(queue.try_pop());
}

TEST_CASE("queue: refuses at its limit and leaves the value with the caller", "[unit]") {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  CHECK(queue.try_push(std::make_unique<int>(1)));
  auto refused = std::make_unique<int>(2);
  CHECK_FALSE(queue.try_push(std::move(refused)));
  REQUIRE(refused != nullptr);
  CHECK(*refused == 2);
  CHECK(**queue.try_pop() == 1);
  CHECK(queue.try_push(std::move(refused)));
  CHECK(**queue.try_pop() == 2);
}

TEST_CASE("queue: a queue of no places takes nothing", "[unit]") {
  BoundedQueue<int> queue(0);
  CHECK_FALSE(queue.try_push(1));
  CHECK_FALSE(queue.try_pop());
}

TEST_CASE("queue: hands every value over once between two threads", "[unit]") {
  constexpr int kValues = 10'000;
  BoundedQueue<int> queue(16);
  std::jthread producer([&] {
    for (int i = 0; i < kValues; ++i) {
      while (!queue.try_push(int{i})) std::this_thread::yield();
    }
  });
  for (int i = 0; i < kValues;) {
    const auto value = queue.try_pop();
    if (!value) {
      std::this_thread::yield();
      continue;
    }
    REQUIRE(*value == i);
    ++i;
  }
  CHECK_FALSE(queue.try_pop());
}
