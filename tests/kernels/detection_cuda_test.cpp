// Decoding and suppression on a GPU: what the CPU's kernels say, to the bit.
#include "kernels/detection_cuda.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "kernels/distance_math.h"
#include "kernels/gpu_arrays.h"
#include "kernels/nms.h"
#include "kernels/reference.h"
#include "support/catch.h"

namespace ps::kernels {
namespace {

template <class T>
DeviceBuffer on_device(const std::vector<T>& values, StreamView stream) {
  DeviceBuffer buffer(0, values.size() * sizeof(T));
  copy_to_device(buffer.data(), values.data(), values.size() * sizeof(T), stream);
  stream.synchronize();
  return buffer;
}

template <class T>
std::vector<T> on_host(const T* values, std::size_t count, StreamView stream) {
  std::vector<T> host(count);
  copy_to_host(host.data(), values, count * sizeof(T), stream);
  stream.synchronize();
  return host;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

struct Shape {
  std::int64_t batch;
  std::int64_t height;
  std::int64_t width;
  std::int64_t classes;
  std::int64_t anchors;  // 0: anchor-free
};

void require_decoded(const Shape& shape) {
  const Gpu gpu;
  if (!gpu) return;
  const Stream stream(0);
  const bool anchor_free = shape.anchors == 0;
  const auto sizes = random_floats(2 * shape.anchors, 1, 1, 9);
  GridLevel level{.batch = shape.batch,
                  .height = shape.height,
                  .width = shape.width,
                  .classes = shape.classes,
                  .anchors = shape.anchors,
                  .anchor_sizes = sizes.data()};
  const std::int64_t row_floats = shape.classes + (anchor_free ? 4 : 5);
  const std::int64_t channels =
      anchor_free ? kBoxChannels + shape.classes : shape.anchors * row_floats;
  constexpr std::int64_t kBetween = 7;  // floats of another level
  level.sample_floats = channels * level.cells() + kBetween;
  const std::int64_t sample_rows =
      std::max<std::int64_t>(shape.anchors, 1) * level.cells() * row_floats + kBetween;
  const auto output = random_floats(shape.batch * level.sample_floats, 2, -5, 5);
  std::vector<float> expected(static_cast<std::size_t>(shape.batch * sample_rows), NAN);
  const DeviceBuffer from = on_device(output, stream);
  const DeviceBuffer rows = on_device(expected, stream);
  const DecodedRows to{rows.as<float>(), sample_rows};
  const DecodedRows host_rows{expected.data(), sample_rows};
  const DecodeOps& ops = decode(best_isa());
  if (anchor_free) {
    ops.distances(level, 8, output.data(), host_rows);
    decode_distances_cuda(level, 8, from.as<float>(), to, stream);
  } else {
    ops.anchors(level, 8, output.data(), host_rows);
    decode_anchors_cuda(level, 8, from.as<float>(), to, stream);
  }
  REQUIRE(same_bits(on_host(rows.as<float>(), expected.size(), stream), expected));
}

// Of one image.
struct Boxes {
  Boxes(std::int64_t count, float spread, std::uint64_t seed)
      : x1(random_floats(count, seed, 0, spread)),
        y1(random_floats(count, seed + 1, 0, spread)),
        x2(random_floats(count, seed + 2, 5, 40)),
        y2(random_floats(count, seed + 3, 5, 40)) {
    for (std::size_t i = 0; i < x1.size(); ++i) {
      x2[i] += x1[i];
      y2[i] += y1[i];
      categories.push_back(static_cast<std::int32_t>(i % 3));
    }
  }

  [[nodiscard]] CornerBoxes host(bool agnostic) const {
    return {.count = static_cast<std::int64_t>(x1.size()),
            .x1 = x1.data(),
            .y1 = y1.data(),
            .x2 = x2.data(),
            .y2 = y2.data(),
            .categories = agnostic ? nullptr : categories.data()};
  }
  // Scores say which one it is.
  [[nodiscard]] ScoredBox scored(std::size_t i) const {
    return {{x1[i], y1[i], x2[i], y2[i]}, static_cast<float>(i), categories[i]};
  }

  std::vector<float> x1;
  std::vector<float> y1;
  std::vector<float> x2;
  std::vector<float> y2;
  std::vector<std::int32_t> categories;
};

std::vector<std::int32_t> kept_by_cpu(const CornerBoxes& boxes,
                                      float threshold,
                                      std::int64_t most) {
  const auto room = static_cast<std::size_t>(std::min(boxes.count, most));
  std::vector<std::int32_t> kept(room);
  std::vector<float> workspace(room * static_cast<std::size_t>(kNmsFloats));
  kept.resize(static_cast<std::size_t>(
      nms(best_isa()).keep(boxes, threshold, most, kept.data(), workspace.data())));
  return kept;
}

// By image.
std::vector<std::vector<std::int32_t>> kept_by_gpu(const std::vector<Boxes>& images,
                                                   bool agnostic,
                                                   float threshold,
                                                   std::int64_t most,
                                                   StreamView stream) {
  std::int64_t room = 0;
  std::vector<std::int32_t> counts;
  for (const Boxes& each : images) {
    counts.push_back(static_cast<std::int32_t>(each.x1.size()));
    room = std::max(room, std::ssize(each.x1));
  }
  const std::int64_t kept_room = std::min(room, most);
  std::vector<ScoredBox> boxes(images.size() * static_cast<std::size_t>(room));
  for (std::size_t n = 0; n < images.size(); ++n) {
    for (std::size_t i = 0; i < images[n].x1.size(); ++i) {
      boxes[n * static_cast<std::size_t>(room) + i] = images[n].scored(i);
    }
  }
  const std::int64_t count = std::ssize(images);
  const DeviceBuffer from = on_device(boxes, stream);
  const DeviceBuffer from_counts = on_device(counts, stream);
  const DeviceBuffer kept(0, static_cast<std::size_t>(count * kept_room) * sizeof(ScoredBox));
  const DeviceBuffer kept_counts = on_device(std::vector<std::int32_t>(images.size(), -1), stream);
  const std::vector<char> poison(static_cast<std::size_t>(nms_cuda_workspace(count, kept_room)),
                                 '\xFF');
  const DeviceBuffer workspace = on_device(poison, stream);
  nms_cuda({.boxes = {room, from.as<ScoredBox>(), from_counts.as<std::int32_t>()},
            .threshold = threshold,
            .agnostic = agnostic ? 1 : 0,
            .kept = {kept_room, kept.as<ScoredBox>(), kept_counts.as<std::int32_t>()},
            .workspace = workspace.data()},
           count, room, stream);
  const auto found = on_host(kept_counts.as<std::int32_t>(), images.size(), stream);
  std::vector<std::vector<std::int32_t>> result(images.size());
  for (std::size_t n = 0; n < images.size(); ++n) {
    REQUIRE(found[n] >= 0);
    REQUIRE(found[n] <= kept_room);
    const auto of_image = on_host(kept.as<ScoredBox>() + static_cast<std::int64_t>(n) * kept_room,
                                  static_cast<std::size_t>(found[n]), stream);
    for (const ScoredBox& each : of_image) {
      result[n].push_back(static_cast<std::int32_t>(each.score));
      REQUIRE(each.category == images[n].categories[static_cast<std::size_t>(each.score)]);
    }
  }
  return result;
}

// Lists of these lengths, in one memory; the rest of it must not matter.
void require_sorted(const std::vector<std::int32_t>& counts, std::int64_t room, StreamView stream) {
  Random random(static_cast<std::uint64_t>(room));
  const auto size = static_cast<std::size_t>(room);
  std::vector<std::uint64_t> keys(counts.size() * size);
  for (std::uint64_t& key : keys) key = random.next_u64() >> 3U;
  const DeviceBuffer there = on_device(keys, stream);
  const DeviceBuffer there_counts = on_device(counts, stream);
  std::int64_t most = 0;
  for (const std::int32_t count : counts) {
    if (count <= room) most = std::max<std::int64_t>(most, count);
  }
  sort_cuda(
      {.room = room, .keys = there.as<std::uint64_t>(), .counts = there_counts.as<std::int32_t>()},
      std::ssize(counts), most, stream);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto count = static_cast<std::size_t>(counts[i]);
    if (count > size) continue;
    const auto first = keys.begin() + static_cast<std::ptrdiff_t>(i * size);
    std::vector<std::uint64_t> expected(first, first + counts[i]);
    std::sort(expected.begin(), expected.end());
    REQUIRE(on_host(there.as<std::uint64_t>() + i * size, count, stream) == expected);
  }
}

}  // namespace

TEST_CASE("decode on a GPU: heads with anchors have the CPU's bits", "[unit]") {
  const std::int64_t anchors = GENERATE(1, 3, 11);
  const std::int64_t classes = GENERATE(1, 27, 60);
  const auto side = GENERATE(std::pair<std::int64_t, std::int64_t>{1, 1},
                             std::pair<std::int64_t, std::int64_t>{5, 13},
                             std::pair<std::int64_t, std::int64_t>{8, 16});
  CAPTURE(anchors, classes, side.first, side.second);
  require_decoded({2, side.first, side.second, classes, anchors});
}

TEST_CASE("decode on a GPU: anchor-free heads have the CPU's bits", "[unit]") {
  const std::int64_t batch = GENERATE(0, 1, 3);
  const std::int64_t classes = GENERATE(1, 28, 29, 80);
  const auto side = GENERATE(std::pair<std::int64_t, std::int64_t>{1, 1},
                             std::pair<std::int64_t, std::int64_t>{7, 11});
  CAPTURE(batch, classes, side.first, side.second);
  require_decoded({batch, side.first, side.second, classes, 0});
}

TEST_CASE("decode on a GPU: an empty batch and more tiles than a grid has blocks",
          "[unit][large]") {
  require_decoded({0, 3, 3, 2, 2});
  require_decoded({1, 362, 363, 1, 1});
}

TEST_CASE("nms on a GPU: keeps what the CPU keeps, of each image", "[unit]") {
  const Gpu gpu;
  if (!gpu) return;
  const Stream stream(0);
  const std::int64_t count = GENERATE(0, 1, 63, 64, 257, 1024, 2503);
  const float spread = GENERATE(60.0F, 3000.0F);  // hardly any or nearly all boxes stay
  const std::vector<Boxes> images{Boxes(count / 3, spread, 10), Boxes(count, spread, 1),
                                  Boxes(0, spread, 1)};
  for (const std::int64_t most : {0, 1, 100, 700, 100000}) {
    for (const bool agnostic : {false, true}) {
      for (const float threshold : {0.0F, .45F}) {
        const std::uint64_t seed = static_cast<std::uint64_t>(count + most);
        another_order(seed);
        CAPTURE(count, spread, most, agnostic, threshold, seed);
        const auto kept = kept_by_gpu(images, agnostic, threshold, most, stream);
        for (std::size_t i = 0; i < images.size(); ++i) {
          REQUIRE(kept[i] == kept_by_cpu(images[i].host(agnostic), threshold, most));
        }
      }
    }
  }
}

TEST_CASE("nms on a GPU: boxes without area or numbers suppress nobody", "[unit]") {
  const Gpu gpu;
  if (!gpu) return;
  const Stream stream(0);
  Boxes boxes(70, 50.0F, 1);
  for (std::size_t i = 0; i < 70; i += 3) boxes.x2[i] = i % 2 == 0 ? boxes.x1[i] : NAN;
  REQUIRE(kept_by_gpu({boxes}, true, .1F, 70, stream)[0] == kept_by_cpu(boxes.host(true), .1F, 70));
}

TEST_CASE("sort on a GPU: lists of any lengths, but for overfull ones", "[unit]") {
  const Gpu gpu;
  if (!gpu) return;
  const Stream stream(0);
  require_sorted({0, 1, 2, 1000, 2048}, 2048, stream);
  require_sorted({0, 16384, 2049, 3, 4097, 8192, 16385}, 16384, stream);
  require_sorted({0, 0}, 2048, stream);
}

}  // namespace ps::kernels
