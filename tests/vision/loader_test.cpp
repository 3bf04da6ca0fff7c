#include <algorithm>
#include <atomic>
#include <set>
#include <vector>

#include <ps/error.h>
#include <ps/vision/loader.h>

#include "support/catch.h"
#include "vision/fake_dataset.h"

using namespace ps::vision;

namespace {

constexpr std::size_t kPictures = 7;

BatchOrder order_of(std::uint64_t step, std::size_t n = 3) {
  BatchOrder order;
  for (std::size_t i = 0; i < n; ++i) order.indices.push_back((step * n + i) % kPictures);
  order.epoch = static_cast<std::uint32_t>(step / 2);
  order.step = step;
  order.size = {32, 32};
  return order;
}

// Orders 0, 1, ... below `end`.
BatchLoader::Source orders(std::uint64_t end) {
  return [end, step = std::uint64_t{0}]() mutable -> std::optional<BatchOrder> {
    if (step == end) return std::nullopt;
    return order_of(step++);
  };
}

std::vector<DetectionBatch> all(BatchLoader& loader) {
  std::vector<DetectionBatch> batches;
  while (const DetectionBatch* batch = loader.next()) batches.push_back(*batch);
  return batches;
}

bool same(const ps::nn::Target& a, const ps::nn::Target& b) {
  return a.image == b.image && a.category == b.category && a.x == b.x && a.y == b.y &&
         a.width == b.width && a.height == b.height;
}

}  // namespace

TEST_CASE("loader: any number of threads delivers the same batches in order", "[vision]") {
  FakeDataset data;
  add_noise(data, kPictures);
  BatchLoader alone(data, {.seed = 3, .workers = 0}, orders(9));
  const std::vector<DetectionBatch> expected = all(alone);
  REQUIRE(expected.size() == 9);
  for (const int workers : {1, 3}) {
    for (const int ahead : {1, 4}) {
      CAPTURE(workers, ahead);
      BatchLoader loader(data, {.seed = 3, .workers = workers, .ahead = ahead}, orders(9));
      const std::vector<DetectionBatch> batches = all(loader);
      REQUIRE(batches.size() == expected.size());
      for (std::size_t i = 0; i < batches.size(); ++i) {
        CHECK(batches[i].step == i);
        CHECK(batches[i].epoch == i / 2);
        CHECK(batches[i].indices == expected[i].indices);
        CHECK(batches[i].images == expected[i].images);
        CHECK(std::equal(batches[i].targets.begin(), batches[i].targets.end(),
                         expected[i].targets.begin(), expected[i].targets.end(), same));
      }
      CHECK(loader.next() == nullptr);
    }
  }
}

TEST_CASE("loader: a batch holds the augmented samples and their labels", "[vision]") {
  FakeDataset data;
  add_noise(data, kPictures);
  BatchLoader loader(data, {.seed = 3}, orders(2));
  static_cast<void>(loader.next());
  const DetectionBatch* batch = loader.next();
  REQUIRE(batch != nullptr);
  CHECK(batch->size == ImageSize{32, 32});
  REQUIRE(batch->images.size() == 3 * 3 * 32 * 32);
  std::vector<float> image(3 * 32 * 32);
  std::size_t target = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const Sample sample = augmented(data, {3, 0, batch->indices[i]}, {32, 32}, {});
    to_tensor(sample.image, image);
    CHECK(std::equal(image.begin(), image.end(),
                     batch->images.begin() + static_cast<std::ptrdiff_t>(i * image.size())));
    for (const Label& label : sample.labels) {
      REQUIRE(target < batch->targets.size());
      const ps::nn::Target expected{static_cast<std::int32_t>(i),
                                    label.category,
                                    label.x,
                                    label.y,
                                    label.width,
                                    label.height};
      CHECK(same(batch->targets[target++], expected));
    }
  }
  CHECK(target == batch->targets.size());
  CHECK(target > 0);
  CHECK(loader.seconds_waited() > 0);
}

TEST_CASE("loader: each order has its own size, scale and augmentation", "[vision]") {
  FakeDataset data;
  add_noise(data, kPictures);
  int step = 0;
  BatchLoader loader(data, {.seed = 3, .workers = 1}, [&step]() -> std::optional<BatchOrder> {
    if (step == 3) return std::nullopt;
    BatchOrder order = order_of(0, 2);
    order.augmentation = Augmentation::none();
    if (step == 1) order.scaled = {64, 32};
    if (step == 2) order.size = {32, 96};
    ++step;
    return order;
  });
  const std::vector<DetectionBatch> batches = all(loader);
  REQUIRE(batches.size() == 3);
  const Letterbox first = letterbox(data.samples[0].image, 32, 32);
  std::vector<float> image(3 * 32 * 32);
  to_tensor(first.image, image);
  CHECK(std::equal(image.begin(), image.end(), batches[0].images.begin()));
  CHECK(batches[0].frames[0].scale == first.scale);
  CHECK(batches[0].frames[0].left == first.left);
  CHECK(batches[1].size == ImageSize{64, 32});
  std::vector<float> scaled(2 * 3 * 64 * 32);
  resize_batch(batches[0].images, {32, 32}, scaled, {64, 32});
  CHECK(batches[1].images == scaled);
  CHECK(batches[1].targets.size() == batches[0].targets.size());
  CHECK(batches[2].size == ImageSize{32, 96});
  CHECK(batches[2].images.size() == 2 * 3 * 32 * 96);
}

TEST_CASE("loader: a picture that cannot be read is replaced, told and counted", "[vision]") {
  FakeDataset data;
  add_noise(data, kPictures);
  data.unreadable = {1, 4};
  data.code = ps::ErrorCode::kIo;
  BatchLoader loader(data, {.workers = 2}, [step = 0]() mutable -> std::optional<BatchOrder> {
    if (step == 2) return std::nullopt;
    BatchOrder order = order_of(0, 5);
    order.augmentation = Augmentation::none();
    ++step;
    return order;
  });
  const DetectionBatch* batch = loader.next();
  REQUIRE(batch != nullptr);
  CHECK(batch->faults == std::vector<std::string>{"fake 1: damaged", "fake 4: damaged"});
  for (const ps::nn::Target& target : batch->targets) {
    CHECK((target.image != 1 && target.image != 4));
  }
  CHECK(batch->images[3 * 32 * 32] == 114 / 255.0F);
  CHECK(loader.replaced() == 2);
  batch = loader.next();
  CHECK(batch->faults.size() == 2);
  CHECK(loader.replaced() == 4);
}

TEST_CASE("loader: what the source throws comes after the batches before it", "[vision]") {
  FakeDataset data;
  add_noise(data, kPictures);
  const int workers = GENERATE(0, 2);
  BatchLoader loader(data, {.workers = workers}, [step = 0]() mutable -> std::optional<BatchOrder> {
    if (step == 2) throw ps::Error(ps::ErrorCode::kAborted, "the job ends");
    return order_of(static_cast<std::uint64_t>(step++));
  });
  CHECK(loader.next() != nullptr);
  CHECK(loader.next() != nullptr);
  CHECK_THROWS_WITH(loader.next(), "the job ends");
  CHECK_THROWS_WITH(loader.next(), "the job ends");
}

TEST_CASE("loader: what making a sample throws comes in its batch's place", "[vision]") {
  FakeDataset data;
  add_noise(data, kPictures);
  data.unreadable = {4, 5};  // in the second batch
  data.code = ps::ErrorCode::kInternal;
  const int workers = GENERATE(0, 3);
  BatchLoader loader(data, {.workers = workers}, [step = 0]() mutable -> std::optional<BatchOrder> {
    BatchOrder order = order_of(static_cast<std::uint64_t>(step++));
    order.augmentation.mosaic = 0;
    return order;
  });
  CHECK(loader.next() != nullptr);
  CHECK_THROWS_WITH(loader.next(), "fake 4: damaged");
  CHECK_THROWS_WITH(loader.next(), "fake 4: damaged");
}

TEST_CASE("loader: orders that make no sense are refused", "[vision]") {
  FakeDataset data;
  add_noise(data, kPictures);
  const auto refused = [&data](auto change, const char* text) {
    BatchLoader loader(data, {.workers = 1}, [change]() -> std::optional<BatchOrder> {
      BatchOrder order = order_of(0);
      change(order);
      return order;
    });
    CHECK_THROWS_WITH(loader.next(), Catch::Contains(text));
  };
  refused([](BatchOrder& order) { order.indices.clear(); }, "no samples");
  refused([](BatchOrder& order) { order.indices[1] = kPictures; }, "picture 7 was asked for");
  refused([](BatchOrder& order) { order.size = {0, 32}; }, "0 x 32");
  refused([](BatchOrder& order) { order.scaled = {-1, 32}; }, "-1 x 32");
  refused([](BatchOrder& order) { order.augmentation.mixup = 2; }, "mixup");
  CHECK_THROWS_AS(BatchLoader(data, {.workers = -1}, orders(1)), ps::Error);
  CHECK_THROWS_AS(BatchLoader(data, {.ahead = 0}, orders(1)), ps::Error);
  CHECK_THROWS_AS(BatchLoader(data, {}, nullptr), ps::Error);
}

TEST_CASE("loader: a few batches' memory serves all, and no more is read ahead", "[vision]") {
  FakeDataset data;
  add_noise(data, kPictures);
  constexpr int kAhead = 2;
  std::atomic<int> asked{0};
  std::atomic<int> calls{0};
  std::atomic<bool> too_far{false};
  BatchLoader loader(data, {.workers = 2, .ahead = kAhead}, [&]() -> std::optional<BatchOrder> {
    const int drawn = ++calls;
    if (drawn > std::max(asked.load(), 1) + kAhead) too_far = true;
    if (drawn > 20) return std::nullopt;
    return order_of(static_cast<std::uint64_t>(drawn));
  });
  std::set<const float*> memory;
  int batches = 0;
  for (;;) {
    ++asked;
    const DetectionBatch* batch = loader.next();
    if (batch == nullptr) break;
    memory.insert(batch->images.data());
    ++batches;
  }
  CHECK(batches == 20);
  CHECK(memory.size() == kAhead + 1);
  CHECK_FALSE(too_far);
}

TEST_CASE("loader: ends at any time, with batches unread or none made", "[vision]") {
  FakeDataset data;
  add_noise(data, kPictures);
  const auto endless = [step = std::uint64_t{0}]() mutable -> std::optional<BatchOrder> {
    return order_of(step++);
  };
  for (int taken = 0; taken < 4; ++taken) {
    BatchLoader loader(data, {.workers = 3}, endless);
    for (int i = 0; i < taken; ++i) CHECK(loader.next() != nullptr);
  }
}
