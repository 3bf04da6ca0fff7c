// Memory that peers can map, and how it is found again.
#include "net/shared_memory.h"

#include <unistd.h>

#include "support/catch.h"

namespace ps::net {

TEST_CASE("shared memory: is zeroed and aligned, and found by any part of it", "[unit]") {
  const Memory memory = allocate_shared(100'000);
  REQUIRE(memory.size() == 100'000);
  CHECK(reinterpret_cast<std::uintptr_t>(memory.bytes().data()) % 64 == 0);
  for (const std::byte byte : memory.bytes()) REQUIRE(byte == std::byte{0});
  const auto whole = find_shared(memory.bytes());
  REQUIRE(whole);
  CHECK(whole->offset == 0);
  const auto part = find_shared(memory.bytes().subspan(99'000, 1000));
  REQUIRE(part);
  CHECK(part->offset == 99'000);
  CHECK(part->mapping == whole->mapping);
  CHECK(allocate_shared(0).size() == 0);
}

TEST_CASE("shared memory: other memory is not found, nor what has gone", "[unit]") {
  const Memory other = Memory::allocate(4096);
  CHECK_FALSE(find_shared(other.bytes()));
  Memory memory = allocate_shared(8192);
  const std::span<const std::byte> bytes = memory.bytes();
  CHECK_FALSE(find_shared({bytes.data() + 4096, 8192}));  // it ends earlier
  memory = {};
  CHECK_FALSE(find_shared(bytes));
}

TEST_CASE("shared memory: a mapping shows what the other one writes", "[unit]") {
  const auto mapping = SharedMapping::create(10'000);
  REQUIRE(mapping);
  const auto same =
      SharedMapping::map(Descriptor(::dup(mapping->fd())), 10'000, SharedMapping::Access::kRead);
  REQUIRE(same);
  mapping->bytes()[9'999] = std::byte{3};
  CHECK(same->bytes()[9'999] == std::byte{3});
  CHECK_FALSE(
      SharedMapping::map(Descriptor(::dup(mapping->fd())), 10'001, SharedMapping::Access::kRead));
}

}  // namespace ps::net
