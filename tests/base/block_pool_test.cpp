#include "base/block_pool.h"

#include <thread>

#include "support/catch.h"

TEST_CASE("block pool: a block is used again only when its last view is gone", "[unit][base]") {
  ps::BlockPool pool;
  ps::Memory first = pool.acquire(1000);
  CHECK(first.size() == 1000);
  const auto* address = first.bytes().data();
  ps::Buffer view = first.buffer(10, 20);
  first = {};
  CHECK(pool.acquire(1000).bytes().data() != address);
  view = {};
  const ps::Memory second = pool.acquire(900);
  const ps::Memory third = pool.acquire(900);
  CHECK((second.bytes().data() == address || third.bytes().data() == address));
  CHECK(pool.blocks() == 2);
}

TEST_CASE("block pool: blocks outlive the pool and may end on another thread", "[unit][base]") {
  ps::Buffer view;
  {
    ps::BlockPool pool;
    ps::Memory memory = pool.acquire(64);
    memory.bytes()[3] = std::byte{42};
    view = memory.buffer();
  }
  std::thread([buffer = std::move(view)]() mutable {
    CHECK(buffer.bytes()[3] == std::byte{42});
    buffer = {};
  }).join();
}

TEST_CASE("block pool: a steady load makes no new block", "[unit][base]") {
  ps::BlockPool pool;
  for (int step = 0; step < 100; ++step) {
    const ps::Memory a = pool.acquire(5000);
    const ps::Memory b = pool.acquire(5001);
    const ps::Memory c = pool.acquire(0);
  }
  CHECK(pool.blocks() == 3);
}
