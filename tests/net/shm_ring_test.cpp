// The ring: bytes come out as they went in, and no value in the shared memory makes it overrun.
#include "net/shm_ring.h"

#include <array>
#include <memory>
#include <poll.h>
#include <thread>
#include <vector>

#include "base/assert.h"
#include "base/random.h"
#include "base/wakeup.h"
#include "support/catch.h"

// NOLINTBEGIN(readability-function-cognitive-complexity): Catch's macros count as branches

namespace {

using ps::net::RingControl;
using ps::net::RingReader;
using ps::net::RingWriter;

constexpr std::size_t kRing = 64;

struct Ring {
  RingControl control{};
  std::vector<std::byte> memory = std::vector<std::byte>(kRing);
  RingWriter writer{control, memory};
  RingReader reader{control, memory};
};

std::vector<std::byte> counted(std::size_t from, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>((from + i) % 251);
  return bytes;
}

void sleep_until_rung(ps::Wakeup& bell) {
  ::pollfd entry{.fd = bell.fd(), .events = POLLIN, .revents = 0};
  PS_ASSERT(::poll(&entry, 1, 10'000) == 1, "the other side rings");  // Catch is for one thread
  bell.clear();
}

}  // namespace

TEST_CASE("shm ring: bytes come out in order, whatever the sizes and wraps", "[unit]") {
  Ring ring;
  ps::Random random(7);
  std::size_t in = 0;
  std::size_t out = 0;
  while (out < 10'000) {
    const auto bytes = counted(in, random.below(kRing + 20));
    const auto written = ring.writer.write(bytes);
    REQUIRE(written);
    CHECK(*written == std::min(bytes.size(), kRing - (in - out)));
    in += *written;
    std::vector<std::byte> read(random.below(kRing + 20));
    const auto count = ring.reader.read(read);
    REQUIRE(count);
    CHECK(*count == std::min(read.size(), in - out));
    read.resize(*count);
    REQUIRE(read == counted(out, *count));
    out += *count;
  }
}

TEST_CASE("shm ring: a writer's position that cannot be is refused", "[unit]") {
  Ring ring;
  std::array<std::byte, kRing> out{};
  const std::uint64_t lie = GENERATE(kRing + 1, std::uint64_t{1} << 63, ~std::uint64_t{0});
  ring.control.written = lie;
  CHECK_FALSE(ring.reader.read(out));
}

TEST_CASE("shm ring: a reader's position that cannot be is refused", "[unit]") {
  Ring ring;
  REQUIRE(ring.writer.write(counted(0, 10)) == 10);
  const std::uint64_t lie = GENERATE(std::uint64_t{11}, std::uint64_t{1} << 63, ~std::uint64_t{63});
  ring.control.read = lie;
  CHECK_FALSE(ring.writer.write(counted(10, 1)));
}

TEST_CASE("shm ring: a position that goes back after it was read is refused", "[unit]") {
  Ring ring;
  REQUIRE(ring.writer.write(counted(0, 10)) == 10);
  std::array<std::byte, 10> out{};
  REQUIRE(ring.reader.read(out) == 10);
  ring.control.written = 5;
  CHECK_FALSE(ring.reader.read(out));
}

TEST_CASE("shm ring: each side is woken only when it waits", "[unit]") {
  Ring ring;
  std::array<std::byte, kRing> out{};
  REQUIRE(ring.writer.write(counted(0, 1)) == 1);
  CHECK_FALSE(ring.writer.take_reader_waits());
  CHECK_FALSE(ring.reader.wait_for_data());  // there is some
  REQUIRE(ring.reader.read(out) == 1);
  CHECK(ring.reader.wait_for_data());
  REQUIRE(ring.writer.write(counted(1, kRing)) == kRing);
  CHECK(ring.writer.take_reader_waits());
  CHECK_FALSE(ring.writer.take_reader_waits());  // once
  CHECK(ring.writer.wait_for_room());
  REQUIRE(ring.reader.read(std::span(out).first(kRing / 4 - 1)) == kRing / 4 - 1);
  CHECK_FALSE(ring.reader.take_writer_waits());  // too little to be worth it
  REQUIRE(ring.reader.read(std::span(out).first(1)) == 1);
  CHECK(ring.reader.take_writer_waits());
}

TEST_CASE("shm ring: two threads that sleep when they must lose no byte and no wake-up", "[unit]") {
  constexpr std::size_t kTotal = 200'000;
  Ring ring;
  ps::Wakeup data;
  ps::Wakeup room;
  std::jthread producer([&] {
    for (std::size_t sent = 0; sent < kTotal;) {
      const auto count = ring.writer.write(counted(sent, std::min(kTotal - sent, kRing / 3)));
      sent += count.value();
      if (ring.writer.take_reader_waits()) data.ring();
      if (*count == 0 && ring.writer.wait_for_room()) sleep_until_rung(room);
    }
  });
  bool intact = true;
  std::array<std::byte, kRing> out{};
  for (std::size_t read = 0; read < kTotal;) {
    const auto count = ring.reader.read(out);
    REQUIRE(count);
    for (std::size_t i = 0; i < *count; ++i) {
      intact = intact && out[i] == static_cast<std::byte>((read + i) % 251);
    }
    read += *count;
    if (ring.reader.take_writer_waits()) room.ring();
    if (*count == 0 && ring.reader.wait_for_data()) sleep_until_rung(data);
  }
  CHECK(intact);
}

// NOLINTEND(readability-function-cognitive-complexity)
