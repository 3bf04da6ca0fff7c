// FM-Det: reproducible to the bit, and as its recipe says. Without the Debian packages that it is
// made of, these tests say so and pass.
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <ps/error.h>
#include <ps/vision/fm_det.h>

#include "base/crc32c.h"
#include "ops/temporary_directory.h"
#include "support/catch.h"
#include "vision/resample.h"

namespace ps::vision {
namespace {

std::unique_ptr<Dataset> open_or_skip(const FmDetOptions& options, Split split) {
  try {
    return open_fm_det(options, split);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnavailable) throw;
    WARN("not checked here: " << error.what());
    return nullptr;
  }
}

std::uint32_t checksum(const Image& image, std::uint32_t crc = 0) {
  return crc32c(std::as_bytes(std::span(image.pixels)), crc);
}

FmDetOptions small() {
  FmDetOptions options;
  options.count = 200;
  options.val = 150;
  return options;
}

TEST_CASE("fm-det: pictures have the same bytes everywhere", "[vision][fm-det]") {
  const auto train = open_or_skip({}, Split::kTrain);
  if (!train) return;
  std::uint32_t crc = 0;
  for (const std::size_t i : {0UL, 7999UL}) crc = checksum(train->load(i).image, crc);
  CHECK(crc == 0x7E04CF83);
  CHECK(train->size() == 8000);
  CHECK(train->source(12) == "fm-det train 12");
}

TEST_CASE("fm-det: labels are those of the pictures, and boxes lie inside", "[vision][fm-det]") {
  const auto val = open_or_skip(small(), Split::kVal);
  if (!val) return;
  std::size_t boxes = 0;
  for (std::size_t i = 0; i < val->size(); ++i) {
    const auto labels = val->labels(i);
    boxes += labels.size();
    for (const Label& label : labels) {
      CHECK((label.category >= 0 && label.category < 5));
      CHECK((label.width * 128 >= 4 && label.width * 128 <= 54));
      CHECK(label.x - label.width / 2 >= 0);
      CHECK(label.y + label.height / 2 <= 1);
    }
    if (i % 50 != 0) continue;
    const Sample sample = val->load(i);
    CHECK(std::equal(labels.begin(), labels.end(), sample.labels.begin(), sample.labels.end()));
  }
  const double mean = static_cast<double>(boxes) / static_cast<double>(val->size());
  CHECK(mean == Approx(2.48).margin(0.25));
  CHECK_THROWS_AS(val->load(val->size()), Error);
}

TEST_CASE("fm-det: splits, seeds and indices give different pictures", "[vision][fm-det]") {
  FmDetOptions options = small();
  const auto val = open_or_skip(options, Split::kVal);
  if (!val) return;
  const auto test = open_fm_det(options, Split::kTest);
  options.seed = 1;
  const auto seeded = open_fm_det(options, Split::kVal);
  std::set<std::uint32_t> seen;
  for (const Dataset* data : {val.get(), test.get(), seeded.get()}) {
    for (const std::size_t i : {0UL, 1UL, 2UL}) seen.insert(checksum(data->load(i).image));
  }
  CHECK(seen.size() == 9);
}

TEST_CASE("fm-det: threads see what one sees alone", "[vision][fm-det]") {
  const auto val = open_or_skip(small(), Split::kVal);
  if (!val) return;
  const auto alone = open_fm_det(small(), Split::kVal);
  std::vector<Sample> expected;
  for (std::size_t i = 0; i < 4; ++i) expected.push_back(alone->load(i));
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t n = 0; n < 4; ++n) {
        const std::size_t i = (n + t) % 4;
        PS_CHECK_IN_THREAD(val->load(i).image == expected[i].image);
        PS_CHECK_IN_THREAD(val->labels(i).size() == expected[i].labels.size());
      }
    });
  }
}

TEST_CASE("fm-det: ten classes are Fashion-MNIST's", "[vision][fm-det]") {
  const auto val = open_or_skip(parse_fm_det("fm-det:classes=10,val=64,size=64"), Split::kVal);
  if (!val) return;
  CHECK(val->names().size() == 10);
  std::set<int> seen;
  for (std::size_t i = 0; i < val->size(); ++i) {
    for (const Label& label : val->labels(i)) seen.insert(label.category);
  }
  CHECK(seen.size() == 10);
  CHECK(val->load(3).image.width == 64);
}

TEST_CASE("fm-det: the folder that is written holds the same pictures and labels",
          "[vision][fm-det]") {
  FmDetOptions options = small();
  options.count = 1;
  options.val = 2;
  options.size = 48;
  const auto val = open_or_skip(options, Split::kVal);
  if (!val) return;
  const test::TemporaryDirectory folder;
  std::size_t told = 0;
  make_fm_det(folder.path(), options, [&](std::size_t done, std::size_t total) {
    CHECK(total == 3);
    told = done;
  });
  CHECK(told == 3);
  CHECK(std::filesystem::exists(folder.file("data.yaml")));
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string name = "val/00000" + std::to_string(i);
    CHECK(read_image(folder.file("images/" + name + ".png")) == val->load(i).image);
    std::ifstream in(folder.file("labels/" + name + ".txt"));
    for (const Label& label : val->labels(i)) {
      Label read;
      in >> read.category >> read.x >> read.y >> read.width >> read.height;
      CHECK(read == label);
    }
  }
  const auto files = open_dataset(folder.file("data.yaml"), Split::kVal);
  CHECK(files->size() == 2);
  CHECK(files->names() == val->names());
  CHECK(files->load(1).labels == val->load(1).labels);
  CHECK_THROWS_AS(make_fm_det(folder.write("file", ""), options), Error);
}

TEST_CASE("fm-det: the words after its name are options", "[vision]") {
  const FmDetOptions options = parse_fm_det("fm-det:count=20,val=7,size=96,classes=10,seed=5");
  CHECK(options.count == 20);
  CHECK(options.val == 7);
  CHECK(options.size == 96);
  CHECK(options.classes == 10);
  CHECK(options.seed == 5);
  CHECK(parse_fm_det("fm-det").count == 8000);
  CHECK(is_fm_det("fm-det"));
  CHECK_FALSE(is_fm_det("fm-det.yaml"));
  for (const char* text : {"fm-det:counts=1", "fm-det:count", "fm-det:count=", "fm-det:count=-1",
                           "fm-det:count=1x", "fm-det:classes=6", "fm-det:size=8", "fm-det:val=0",
                           "fm-det:count=99999999999999999999", "fm_det"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_fm_det(text), Error);
  }
}

TEST_CASE("fm-det: without its packages the error names them", "[vision]") {
  const test::TemporaryDirectory folder;
  FmDetOptions options;
  options.share = folder.path();
  try {
    (void)open_fm_det(options, Split::kTrain);
    FAIL("opened without data");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kUnavailable);
    for (const char* package : {"dataset-fashion-mnist", "lomiri-wallpapers-16.04",
                                "lomiri-wallpapers-20.04", "mate-backgrounds"}) {
      CHECK(std::string(error.what()).find(package) != std::string::npos);
    }
  }
}

TEST_CASE("resample: shrinking averages exactly the area of each pixel", "[vision]") {
  Image image = make_image(3, 3);
  for (std::size_t i = 0; i < 9; ++i) image.pixels[3 * i] = static_cast<std::uint8_t>(i * 20);
  const Image half = shrunk(image, 2);
  REQUIRE(half.width == 2);
  // Pixel 0 covers 1 + 1/2 + 1/2 + 1/4 of pixels 0, 1, 3, 4: (0 + 10 + 30 + 20) / 2.25 = 26.67.
  CHECK(int{half.pixels[0]} == 27);
  CHECK(int{half.pixels[3 * 3]} == 133);
  CHECK(shrunk(image, 5) == image);
}

TEST_CASE("resample: a crop of the whole at its own size is the picture, or its mirror",
          "[vision]") {
  Image image = make_image(6, 6);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<std::uint8_t>(i * 7);
  }
  const std::vector<Image> levels = halvings(image, 3);
  REQUIRE(levels.size() == 2);
  CHECK(crop(levels, {0, 0, 6}, 6, false) == image);
  CHECK(crop(levels, {0, 0, 6}, 3, false) == levels[1]);
  const Image mirrored = crop(levels, {0, 0, 6}, 6, true);
  CHECK(mirrored.pixels[0] == image.pixels[15]);
  CHECK(mirrored.pixels[17] == image.pixels[2]);
}

TEST_CASE("resample: stretching keeps flat values and the order of a ramp", "[vision]") {
  const std::array<std::uint8_t, 4> ramp{10, 10, 250, 250};
  const std::vector<std::uint8_t> wide = stretched(ramp, 2, 7);
  REQUIRE(wide.size() == 49);
  CHECK(wide.front() == 10);
  CHECK(wide.back() == 250);
  CHECK(std::is_sorted(wide.begin(), wide.end()));
}

}  // namespace
}  // namespace ps::vision
