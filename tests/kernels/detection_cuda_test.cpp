// Decoding and suppression on a GPU: what the CPU's kernels say, to the bit.
#include "kernels/detection_cuda.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/distance_math.h"
#include "kernels/gpu_arrays.h"
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

// Boxes on both sides.
struct Boxes {
  Boxes(std::int64_t count, float spread, StreamView stream)
      : x1(random_floats(count, 1, 0, spread)),
        y1(random_floats(count, 2, 0, spread)),
        x2(random_floats(count, 3, 5, 40)),
        y2(random_floats(count, 4, 5, 40)) {
    for (std::size_t i = 0; i < x1.size(); ++i) {
      x2[i] += x1[i];
      y2[i] += y1[i];
      categories.push_back(static_cast<std::int32_t>(i % 3));
    }
    for (const auto* corner : {&x1, &y1, &x2, &y2}) copies.push_back(on_device(*corner, stream));
    copies.push_back(on_device(categories, stream));
  }

  [[nodiscard]] CornerBoxes host(bool agnostic) const {
    return {.count = static_cast<std::int64_t>(x1.size()),
            .x1 = x1.data(),
            .y1 = y1.data(),
            .x2 = x2.data(),
            .y2 = y2.data(),
            .categories = agnostic ? nullptr : categories.data()};
  }
  [[nodiscard]] CornerBoxes device(bool agnostic) const {
    return {.count = static_cast<std::int64_t>(x1.size()),
            .x1 = copies[0].as<float>(),
            .y1 = copies[1].as<float>(),
            .x2 = copies[2].as<float>(),
            .y2 = copies[3].as<float>(),
            .categories = agnostic ? nullptr : copies[4].as<std::int32_t>()};
  }

  std::vector<float> x1;
  std::vector<float> y1;
  std::vector<float> x2;
  std::vector<float> y2;
  std::vector<std::int32_t> categories;
  std::vector<DeviceBuffer> copies;
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

std::vector<std::int32_t> kept_by_gpu(const CornerBoxes& boxes,
                                      float threshold,
                                      std::int64_t most,
                                      StreamView stream) {
  const auto room = static_cast<std::size_t>(std::min(boxes.count, most));
  const DeviceBuffer kept(0, room * sizeof(std::int32_t));
  const DeviceBuffer count = on_device(std::vector<std::int64_t>{-1}, stream);
  const std::vector<char> poison(static_cast<std::size_t>(nms_cuda_workspace(boxes.count, most)),
                                 '\xFF');
  const DeviceBuffer workspace = on_device(poison, stream);
  nms_cuda(boxes, threshold, most, kept.as<std::int32_t>(), count.as<std::int64_t>(),
           workspace.data(), stream);
  const std::int64_t found = on_host(count.as<std::int64_t>(), 1, stream)[0];
  REQUIRE(found >= 0);
  REQUIRE(static_cast<std::size_t>(found) <= room);
  return on_host(kept.as<std::int32_t>(), static_cast<std::size_t>(found), stream);
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

TEST_CASE("nms on a GPU: keeps what the CPU keeps", "[unit]") {
  const Gpu gpu;
  if (!gpu) return;
  const Stream stream(0);
  const std::int64_t count = GENERATE(0, 1, 63, 64, 257, 1024, 2503);
  const float spread = GENERATE(60.0F, 3000.0F);  // hardly any or nearly all boxes stay
  const Boxes boxes(count, spread, stream);
  for (const std::int64_t most : {0, 1, 100, 700, 100000}) {
    for (const bool agnostic : {false, true}) {
      for (const float threshold : {0.0F, .45F}) {
        const std::uint64_t seed = static_cast<std::uint64_t>(count + most);
        another_order(seed);
        CAPTURE(count, spread, most, agnostic, threshold, seed);
        REQUIRE(kept_by_gpu(boxes.device(agnostic), threshold, most, stream) ==
                kept_by_cpu(boxes.host(agnostic), threshold, most));
      }
    }
  }
}

TEST_CASE("nms on a GPU: boxes without area or numbers suppress nobody", "[unit]") {
  const Gpu gpu;
  if (!gpu) return;
  const Stream stream(0);
  Boxes boxes(70, 50.0F, stream);
  for (std::size_t i = 0; i < 70; i += 3) boxes.x2[i] = i % 2 == 0 ? boxes.x1[i] : NAN;
  boxes.copies[2] = on_device(boxes.x2, stream);
  REQUIRE(kept_by_gpu(boxes.device(true), .1F, 70, stream) ==
          kept_by_cpu(boxes.host(true), .1F, 70));
}

}  // namespace ps::kernels
