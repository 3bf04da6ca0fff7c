#include "cluster/placement.h"

#include <algorithm>
#include <iostream>
#include <string>

#include "base/random.h"
#include "support/catch.h"

namespace ps::cluster {
namespace {

using Table = std::vector<wire::ParameterInfo>;

void add(Table& table, std::vector<std::int64_t> shape) {
  wire::ParameterInfo info;
  info.name = "p" + std::to_string(table.size());
  info.shape = std::move(shape);
  table.push_back(std::move(info));
}

// A convolution without a bias, and its normalization's weight and bias.
void add_conv(Table& table, std::int64_t in, std::int64_t out, std::int64_t kernel) {
  add(table, {out, in, kernel, kernel});
  add(table, {out});
  add(table, {out});
}

// YOLOv5's block of three 1x1 convolutions around `n` bottlenecks.
void add_c3(Table& table, std::int64_t in, std::int64_t out, int n) {
  const std::int64_t half = out / 2;
  add_conv(table, in, half, 1);
  add_conv(table, in, half, 1);
  add_conv(table, 2 * half, out, 1);
  for (int i = 0; i < n; ++i) {
    add_conv(table, half, half, 1);
    add_conv(table, half, half, 3);
  }
}

Table convnet() {
  Table table;
  add_conv(table, 1, 16, 3);
  add_conv(table, 16, 32, 3);
  add_conv(table, 32, 64, 3);
  add(table, {128, 576});
  add(table, {128});
  add(table, {10, 128});
  add(table, {10});
  return table;
}

// YOLOv5n for 80 classes.
Table yolov5n() {
  Table table;
  add_conv(table, 3, 16, 6);
  add_conv(table, 16, 32, 3);
  add_c3(table, 32, 32, 1);
  add_conv(table, 32, 64, 3);
  add_c3(table, 64, 64, 2);
  add_conv(table, 64, 128, 3);
  add_c3(table, 128, 128, 3);
  add_conv(table, 128, 256, 3);
  add_c3(table, 256, 256, 1);
  add_conv(table, 256, 128, 1);
  add_conv(table, 512, 256, 1);
  add_conv(table, 256, 128, 1);
  add_c3(table, 256, 128, 1);
  add_conv(table, 128, 64, 1);
  add_c3(table, 128, 64, 1);
  add_conv(table, 64, 64, 3);
  add_c3(table, 128, 128, 1);
  add_conv(table, 128, 128, 3);
  add_c3(table, 256, 256, 1);
  for (const std::int64_t in : {64, 128, 256}) {
    add(table, {255, in, 1, 1});
    add(table, {255});
  }
  return table;
}

}  // namespace

TEST_CASE("placement: shards carry nearly equal shares of real networks", "[unit]") {
  struct Network {
    const char* name;
    Table table;
    std::uint64_t size;
  };
  const std::vector<Network> networks{{"a small convnet", convnet(), 98554},
                                      {"YOLOv5n", yolov5n(), 1872157}};
  for (const auto& [name, table, size] : networks) {
    CHECK(total_bytes(table) == size * sizeof(float));
    const auto chunks = chunks_of(table, chunk_bytes(table, 0));
    for (const std::uint32_t shards : {2U, 3U, 8U}) {
      const double ratio = imbalance(chunks, place(chunks, shards), shards);
      std::cout << "placement: " << name << " on " << shards << " shards: max/mean " << ratio
                << " (" << chunks.size() << " chunks of up to " << chunk_bytes(table, 0)
                << " bytes)\n";
      CAPTURE(name, shards);
      CHECK(ratio >= 1.0);
      CHECK(ratio <= 1.1);
    }
  }
}

TEST_CASE("placement: chunks cover every element of every parameter once, in order", "[unit]") {
  Random random(7);
  for (int round = 0; round < 200; ++round) {
    Table table;
    const std::uint64_t count = random.below(6);
    for (std::uint64_t i = 0; i < count; ++i)
      add(table, {static_cast<std::int64_t>(1 + random.below(50)),
                  static_cast<std::int64_t>(1 + random.below(50))});
    const std::uint64_t bytes = chunk_bytes(table, 4 + random.below(3000));
    CAPTURE(round, bytes);
    CHECK(bytes % sizeof(float) == 0);
    const auto chunks = chunks_of(table, bytes);
    std::size_t at = 0;
    for (std::uint32_t p = 0; p < table.size(); ++p) {
      std::uint64_t next = 0;
      for (; at < chunks.size() && chunks[at].parameter == p; ++at) {
        REQUIRE(chunks[at].offset == next);
        REQUIRE(chunks[at].count >= 1);
        REQUIRE(chunks[at].count * sizeof(float) <= bytes);
        next += chunks[at].count;
      }
      REQUIRE(next == elements(table[p]));
    }
    REQUIRE(at == chunks.size());
  }
}

TEST_CASE("placement: no shard exceeds the mean by more than one chunk", "[unit]") {
  Random random(8);
  for (int round = 0; round < 200; ++round) {
    std::vector<Chunk> chunks(1 + random.below(60));
    for (Chunk& chunk : chunks) chunk.count = static_cast<std::uint32_t>(1 + random.below(1000));
    const auto shards = static_cast<std::uint32_t>(1 + random.below(9));
    const auto placement = place(chunks, shards);
    REQUIRE(placement.size() == chunks.size());
    std::vector<std::uint64_t> load(shards);
    std::uint64_t total = 0;
    std::uint64_t largest = 0;
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      REQUIRE(placement[i] < shards);
      load[placement[i]] += chunks[i].count;
      total += chunks[i].count;
      largest = std::max<std::uint64_t>(largest, chunks[i].count);
    }
    CHECK(*std::max_element(load.begin(), load.end()) * shards <= total + largest * shards);
    CHECK(place(chunks, shards) == placement);
  }
}

TEST_CASE("placement: a chunk size that was not chosen lies between 4 KiB and 4 MiB", "[unit]") {
  Table table;
  CHECK(chunk_bytes(table, 0) == std::uint64_t{4} << 10);
  CHECK(imbalance({}, {}, 3) == 1.0);
  add(table, {100});
  CHECK(chunk_bytes(table, 0) == std::uint64_t{4} << 10);
  add(table, {1 << 20, 16});
  CHECK(chunk_bytes(table, 0) == std::uint64_t{1} << 20);
  add(table, {1 << 20, 1024});
  CHECK(chunk_bytes(table, 0) == std::uint64_t{4} << 20);
  CHECK(chunk_bytes(table, 1) == 4);
  CHECK(chunk_bytes(table, 1027) == 1024);
}

}  // namespace ps::cluster
