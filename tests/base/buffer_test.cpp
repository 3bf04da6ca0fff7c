// Buffer and Memory: who keeps the bytes alive, and for how long.
#include "base/buffer.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "support/catch.h"

using ps::Buffer;
using ps::Memory;

TEST_CASE("buffer: new memory is zeroed and aligned to a cache line", "[unit]") {
  const std::size_t bytes = GENERATE(1U, 63U, 64U, 4097U, 1U << 20);
  const Memory memory = Memory::allocate(bytes);
  REQUIRE(memory.size() == bytes);
  CHECK(reinterpret_cast<std::uintptr_t>(memory.bytes().data()) % 64 == 0);
  CHECK(std::all_of(memory.bytes().begin(), memory.bytes().end(),
                    [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST_CASE("buffer: memory of no bytes owns nothing", "[unit]") {
  const Memory memory = Memory::allocate(0);
  CHECK(memory.size() == 0);
  CHECK(memory.use_count() == 0);
  CHECK(memory.buffer().empty());
  CHECK(Buffer().empty());
  CHECK(Buffer::copy_of({}).owner() == nullptr);
}

TEST_CASE("buffer: a view keeps the bytes alive after the memory object is gone", "[unit]") {
  Buffer view;
  {
    const Memory memory = Memory::allocate(64);
    memory.as<std::uint32_t>()[3] = 0xC0FFEE;
    view = memory.buffer(12, 4);
    CHECK(memory.use_count() == 2);
  }
  REQUIRE(view.size() == 4);
  std::uint32_t value = 0;
  std::copy_n(view.data(), view.size(), reinterpret_cast<std::byte*>(&value));
  CHECK(value == 0xC0FFEE);
  CHECK(view.owner().use_count() == 1);
}

TEST_CASE("buffer: slices and copies share the memory, and drop it when they go", "[unit]") {
  const Memory memory = Memory::allocate(100);
  {
    const Buffer whole = memory.buffer();
    const Buffer part = whole.slice(10, 20);
    const Buffer again = part;  // NOLINT(performance-unnecessary-copy-initialization): the subject
    CHECK(memory.use_count() == 4);
    CHECK(part.data() == memory.bytes().data() + 10);
    CHECK(part.size() == 20);
    CHECK(again.data() == part.data());
    CHECK(whole.slice(100, 0).empty());
  }
  CHECK(memory.use_count() == 1);
}

TEST_CASE("buffer: the owner's deleter runs once, when the last view goes", "[unit]") {
  std::array<std::byte, 8> bytes{};
  int deleted = 0;
  {
    const Memory region(std::shared_ptr<void>(bytes.data(), [&](void*) { ++deleted; }), bytes);
    Buffer tail = region.buffer(4, 4);
    Buffer moved = std::move(tail);
    CHECK(region.use_count() == 2);
    CHECK(moved.data() == bytes.data() + 4);
    CHECK(deleted == 0);
  }
  CHECK(deleted == 1);
}

TEST_CASE("buffer: a copy does not follow the original", "[unit]") {
  const Memory memory = Memory::allocate(16);
  std::fill(memory.bytes().begin(), memory.bytes().end(), std::byte{7});
  const Buffer copy = Buffer::copy_of(memory.bytes());
  memory.bytes()[0] = std::byte{9};
  CHECK(memory.use_count() == 1);
  CHECK(copy.size() == 16);
  CHECK(copy.bytes()[0] == std::byte{7});
  CHECK(reinterpret_cast<std::uintptr_t>(copy.data()) % 64 == 0);
}

TEST_CASE("buffer: a typed view counts whole elements only", "[unit]") {
  const Memory memory = Memory::allocate(15);
  CHECK(memory.as<float>().size() == 3);
  CHECK(memory.as<std::uint64_t>().size() == 1);
}

TEST_CASE("arena: what is allocated one after another lies side by side, zeroed and aligned",
          "[unit]") {
  ps::Arena arena;
  const Memory first = arena.allocate(128);
  const Memory second = arena.allocate(60);
  const Memory third = arena.allocate(64);
  CHECK(first.bytes().data() + 128 == second.bytes().data());
  CHECK(second.size() == 60);
  CHECK(second.bytes().data() + 64 == third.bytes().data());
  const Memory large = arena.allocate((std::size_t{32} << 20) + 1);  // beyond any block
  const Memory after = arena.allocate(4);
  for (const Memory& memory : {first, second, third, large, after}) {
    CHECK(reinterpret_cast<std::uintptr_t>(memory.bytes().data()) % 64 == 0);
    CHECK(std::all_of(memory.bytes().begin(), memory.bytes().end(),
                      [](std::byte byte) { return byte == std::byte{0}; }));
  }
  CHECK(arena.allocate(0).size() == 0);
}

TEST_CASE("arena: what it handed out outlives it", "[unit]") {
  Memory kept;
  {
    ps::Arena arena;
    for (int i = 0; i < 100; ++i) kept = arena.allocate(std::size_t{100} << 10);
  }
  std::fill(kept.bytes().begin(), kept.bytes().end(), std::byte{7});
  CHECK(kept.size() == std::size_t{100} << 10);
}
