#include "kernels/lanes.h"
#include "kernels/nms.h"
#include "kernels/nms_math.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

// The kept boxes, close together.
struct Kept {
  float* x1 = nullptr;
  float* y1 = nullptr;
  float* x2 = nullptr;
  float* y2 = nullptr;
  float* area = nullptr;
  float* category = nullptr;  // exact up to 2^24, far beyond any number of classes
  Index count = 0;
};

bool is_suppressed(const Kept& kept, const CornerBox& box, float category, float threshold) {
  constexpr Index kBlock = 64;  // between looks at the result
  for (Index start = 0; start < kept.count; start += kBlock) {
    const Index end = kept.count - start < kBlock ? kept.count : start + kBlock;
    std::int32_t hits = 0;
    for (Index i = start; i < end; ++i) {
      const CornerBox other{kept.x1[i], kept.y1[i], kept.x2[i], kept.y2[i], kept.area[i]};
      hits |= static_cast<std::int32_t>(other.overlap(box) > threshold) &
              static_cast<std::int32_t>(kept.category[i] == category);
    }
    if (hits != 0) return true;
  }
  return false;
}

Index keep(const CornerBoxes& boxes,
           float threshold,
           Index most,
           std::int32_t* indices,
           float* workspace) {
  const Index room = boxes.count < most ? boxes.count : most;
  Kept kept{.x1 = workspace,
            .y1 = workspace + room,
            .x2 = workspace + 2 * room,
            .y2 = workspace + 3 * room,
            .area = workspace + 4 * room,
            .category = workspace + 5 * room};
  for (Index i = 0; i < boxes.count && kept.count < room; ++i) {
    const CornerBox box = CornerBox::of(boxes.x1[i], boxes.y1[i], boxes.x2[i], boxes.y2[i]);
    const float category =
        boxes.categories == nullptr ? 0.0F : static_cast<float>(boxes.categories[i]);
    if (is_suppressed(kept, box, category, threshold)) continue;
    const Index at = kept.count++;
    kept.x1[at] = box.x1;
    kept.y1[at] = box.y1;
    kept.x2[at] = box.x2;
    kept.y2[at] = box.y2;
    kept.area[at] = box.area;
    kept.category[at] = category;
    indices[at] = static_cast<std::int32_t>(i);
  }
  return kept.count;
}

}  // namespace

extern const NmsOps nms_ops{.keep = keep};

}  // namespace ps::kernels::PS_ISA
