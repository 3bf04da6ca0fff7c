// The scan's cache is checked and never trusted; threads and progress do not change what is read.
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <ps/vision/dataset.h>

#include "base/crc32c.h"
#include "support/catch.h"
#include "vision/dataset_support.h"
#include "vision/parallel.h"
#include "vision/scan_cache.h"

namespace ps::vision {
namespace {

using testing::Folder;

std::string write_set(const Folder& folder) {
  for (int i = 0; i < 3; ++i) {
    const std::string name = std::to_string(i);
    folder.picture("images/train/" + name + ".png", 16, 16, static_cast<std::uint8_t>(i));
    folder.write("labels/train/" + name + ".txt", "0 0.5 0.5 0.25 0." + std::to_string(i + 1));
  }
  folder.write("labels/train/2.txt", "5 0.5 0.5 0.5 0.5");
  return folder.write("data.yaml", "train: images/train\nval: images/train\nnames: [a, b]\n");
}

Scan scan_of(const std::string& yaml, const DatasetOptions& options = {}) {
  Scan scan;
  (void)open_dataset(yaml, Split::kTrain, options, &scan);
  return scan;
}

TEST_CASE("scan: its answers are kept until a file changes", "[vision]") {
  const Folder folder;
  const std::string yaml = write_set(folder);
  const Scan first = scan_of(yaml);
  CHECK_FALSE(first.cached);
  REQUIRE(std::filesystem::exists(folder.path("labels/train.cache")));
  const Scan second = scan_of(yaml);
  CHECK(second.cached);
  CHECK(second.faults == first.faults);
  CHECK(scan_line(second) == scan_line(first));
  DatasetOptions uncached;
  uncached.cache = false;
  CHECK_FALSE(scan_of(yaml, uncached).cached);

  SECTION("a label file of another size") {
    folder.write("labels/train/0.txt", "0 0.5 0.5 0.25 0.125");
  }
  SECTION("a label file of the same size, written later") {
    const std::string path = folder.write("labels/train/0.txt", "1 0.5 0.5 0.25 0.1");
    const auto time = std::filesystem::last_write_time(path);
    std::filesystem::last_write_time(path, time + std::chrono::seconds(1));
  }
  SECTION("a new picture") {
    folder.picture("images/train/9.png", 16, 16, 1);
  }
  SECTION("a picture less") {
    std::filesystem::remove(folder.path("images/train/0.png"));
  }
  SECTION("other classes") {
    folder.write("data.yaml", "train: images/train\nval: images/train\nnames: [a, b, c]\n");
  }
  CHECK_FALSE(scan_of(yaml).cached);
  CHECK(scan_of(yaml).cached);
}

TEST_CASE("scan: a damaged cache is as good as none", "[vision]") {
  const Folder folder;
  const std::string yaml = write_set(folder);
  const Scan first = scan_of(yaml);
  const std::string good = folder.read("labels/train.cache");
  Listing listing = list_yolo(yaml, Split::kTrain);
  const CacheKey key = cache_key(listing);
  REQUIRE(read_cache(listing, key));
  listing.cache = folder.path("damaged");
  for (std::size_t i = 0; i < good.size(); i += 3) {
    CAPTURE(i);
    std::string bytes = good;
    bytes[i] = static_cast<char>(bytes[i] ^ (1 << i % 8));
    folder.write("damaged", bytes);
    CHECK_FALSE(read_cache(listing, key));
    folder.write("damaged", good.substr(0, i));
    CHECK_FALSE(read_cache(listing, key));
  }
  folder.write("labels/train.cache", good + "more");
  const Scan again = scan_of(yaml);
  CHECK_FALSE(again.cached);
  CHECK(again.faults == first.faults);
  CHECK(folder.read("labels/train.cache") == good);
}

TEST_CASE("scan: a cache with a right checksum and wrong contents is refused", "[vision]") {
  const Folder folder;
  const std::string yaml = write_set(folder);
  (void)scan_of(yaml);
  const std::string good = folder.read("labels/train.cache");
  Listing listing = list_yolo(yaml, Split::kTrain);
  const CacheKey key = cache_key(listing);
  listing.cache = folder.path("forged");
  std::size_t refused = 0;
  for (std::size_t i = 28; i + 4 < good.size(); ++i) {
    std::string bytes = good.substr(0, good.size() - 4);
    bytes[i] = '\xFF';
    const std::uint32_t crc = crc32c(std::as_bytes(std::span(bytes)));
    for (int n = 0; n < 4; ++n) bytes += static_cast<char>(crc >> (8 * n));
    folder.write("forged", bytes);
    const auto records = read_cache(listing, key);
    refused += records ? 0U : 1U;
    if (!records) continue;
    for (const Record& record : *records) {
      for (const Label& label : record.labels) {
        CHECK((label.category >= 0 && label.category < 2));
        CHECK((label.x >= 0 && label.x <= 1 && label.height >= 0 && label.height <= 1));
      }
    }
  }
  CHECK(refused > 20);
}

TEST_CASE("scan: a folder that cannot be written to goes without a cache", "[vision]") {
  const Folder folder;
  const std::string yaml = write_set(folder);
  std::filesystem::create_directories(folder.path("labels/train.cache/in the way"));
  CHECK(scan_of(yaml).images == 2);
  CHECK_FALSE(scan_of(yaml).cached);
}

TEST_CASE("scan: any number of threads finds the same, and progress comes to its end", "[vision]") {
  const Folder folder;
  const std::string yaml = write_set(folder);
  std::size_t done = 0;
  std::size_t total = 0;
  DatasetOptions options;
  options.cache = false;
  options.progress = [&](std::size_t now, std::size_t of) {
    CHECK(now >= done);
    done = now;
    total = of;
  };
  options.threads = 1;
  const Scan one = scan_of(yaml, options);
  CHECK(done == 3);
  CHECK(total == 3);
  done = 0;
  options.threads = 5;
  const Scan five = scan_of(yaml, options);
  CHECK(five.faults == one.faults);
  CHECK(scan_line(five) == scan_line(one));
  CHECK(done == 3);
}

TEST_CASE("dataset: a cached one decodes each picture once", "[vision]") {
  const Folder folder;
  const std::string yaml = write_set(folder);
  const auto data = cached(open_dataset(yaml, Split::kTrain));
  REQUIRE(data->size() == 2);
  const Sample first = data->load(1);
  std::filesystem::remove(folder.path("images/train/1.png"));
  const Sample second = data->load(1);
  CHECK(second.image == first.image);
  CHECK(second.labels == first.labels);
  CHECK(data->source(1) == folder.path("images/train/1.png"));
  std::filesystem::remove(folder.path("images/train/0.png"));
  CHECK_THROWS_AS(data->load(0), Error);
  CHECK_THROWS_AS(data->load(2), Error);
  folder.picture("images/train/0.png", 16, 16, 0);
  CHECK(data->load(0).image.width == 16);
}

TEST_CASE("parallel: every index is worked on once, and an error comes out", "[vision]") {
  const std::size_t threads = GENERATE(as<std::size_t>{}, 1, 3);
  std::vector<int> counts(500);
  std::size_t last = 0;
  for_each_index(
      counts.size(), threads, [&](std::size_t i) { ++counts[i]; },
      [&](std::size_t done, std::size_t total) {
        CHECK(total == 500);
        last = done;
      });
  CHECK(last == 500);
  CHECK(counts == std::vector<int>(500, 1));
  CHECK_THROWS_AS(for_each_index(100, threads,
                                 [](std::size_t i) {
                                   if (i == 50) throw Error(ErrorCode::kIo, "50");
                                 },
                                 {}),
                  Error);
  for_each_index(0, threads, [](std::size_t) { FAIL("called"); }, {});
}

}  // namespace
}  // namespace ps::vision
