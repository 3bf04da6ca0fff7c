// Philox4x32-10 against the known answers published with it, and what Random makes of its words.
#include "base/random.h"

#include <array>
#include <cmath>
#include <vector>

#include "support/catch.h"

using ps::philox;
using ps::Random;
using Words = std::array<std::uint32_t, 4>;

TEST_CASE("random: philox gives the known answers of Random123", "[unit]") {
  CHECK(philox(0, 0, 0) == Words{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});
  CHECK(philox(~0ULL, ~0ULL, ~0ULL) == Words{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD});
  // Digits of pi: counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0.
  CHECK(philox(0x299F31D0A4093822, 0x85A308D3243F6A88, 0x0370734413198A2E) ==
        Words{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1});
}

TEST_CASE("random: a stream is the words of consecutive counters", "[unit]") {
  Random random(42, 7);
  for (std::uint64_t position = 0; position < 5; ++position) {
    for (const std::uint32_t word : philox(42, position, 7)) CHECK(random.next_u32() == word);
  }
}

TEST_CASE("random: seeds and streams are told apart, equal ones repeat", "[unit]") {
  const std::uint64_t first = Random(1, 0).next_u64();
  CHECK(first == Random(1, 0).next_u64());
  CHECK(first != Random(2, 0).next_u64());
  CHECK(first != Random(1, 1).next_u64());
}

TEST_CASE("random: below stays below its bound and reaches every value", "[unit]") {
  const std::uint64_t bound = GENERATE(1U, 2U, 3U, 7U, 10U);
  Random random(bound);
  std::vector<int> counts(bound);
  constexpr int kDraws = 20'000;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint64_t value = random.below(bound);
    REQUIRE(value < bound);
    ++counts[value];
  }
  // Five standard deviations of a binomial count; the seed is fixed, so this cannot flicker.
  const double p = 1.0 / static_cast<double>(bound);
  const double tolerance = 5.0 * std::sqrt(kDraws * p * (1.0 - p)) + 0.5;
  for (const int count : counts) CHECK(std::abs(count - kDraws * p) <= tolerance);
}

TEST_CASE("random: below is unbiased where a plain remainder would not be", "[unit]") {
  // With bound = 3 * 2^62, `value % bound` would draw the lowest third half of the time.
  constexpr std::uint64_t kThird = 1ULL << 62;
  Random random(5);
  constexpr int kDraws = 20'000;
  int lowest = 0;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint64_t value = random.below(3 * kThird);
    REQUIRE(value < 3 * kThird);
    if (value < kThird) ++lowest;
  }
  const double expected = kDraws / 3.0;
  CHECK(std::abs(lowest - expected) < 5.0 * std::sqrt(expected * 2.0 / 3.0));
}

TEST_CASE("random: uniform numbers lie in their range and centre on its middle", "[unit]") {
  Random random(6);
  constexpr int kDraws = 50'000;
  double sum = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.uniform(-2.0, 4.0);
    REQUIRE(value >= -2.0);
    REQUIRE(value < 4.0);
    sum += value;
  }
  // The mean's standard deviation is 6 / sqrt(12 n).
  CHECK(std::abs(sum / kDraws - 1.0) < 5.0 * 6.0 / std::sqrt(12.0 * kDraws));
}

TEST_CASE("random: chance is never at 0 and always at 1", "[unit]") {
  Random random(8);
  for (int i = 0; i < 1000; ++i) {
    CHECK_FALSE(random.chance(0.0));
    CHECK(random.chance(1.0));
  }
}

TEST_CASE("random: normal numbers are finite, centred and of unit variance", "[unit]") {
  Random random(9);
  constexpr int kDraws = 50'000;
  double sum = 0.0;
  double squares = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.normal();
    REQUIRE(std::isfinite(value));
    sum += value;
    squares += value * value;
  }
  CHECK(std::abs(sum / kDraws) < 5.0 / std::sqrt(kDraws));
  CHECK(std::abs(squares / kDraws - 1.0) < 5.0 * std::sqrt(2.0 / kDraws));
}
