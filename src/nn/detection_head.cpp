#include <ps/nn/detection_head.h>

namespace ps::nn {
namespace {

// Boxes that each cell says.
std::int64_t boxes(const HeadLevel& level) {
  return level.anchors.empty() ? 1 : static_cast<std::int64_t>(level.anchors.size());
}

}  // namespace

bool DetectionHead::anchor_free() const noexcept {
  return levels.empty() || levels.front().anchors.empty();
}

std::int64_t DetectionHead::channels(const HeadLevel& level) const noexcept {
  if (level.anchors.empty()) return 4 * kDistanceBins + classes;
  return boxes(level) * (5 + classes);
}

std::int64_t DetectionHead::size() const noexcept {
  std::int64_t total = 0;
  for (const HeadLevel& level : levels) total += channels(level) * level.cells();
  return total;
}

std::int64_t DetectionHead::candidates() const noexcept {
  std::int64_t total = 0;
  for (const HeadLevel& level : levels) total += boxes(level) * level.cells();
  return total;
}

std::int64_t DetectionHead::row_floats() const noexcept {
  return classes + (anchor_free() ? 4 : 5);
}

}  // namespace ps::nn
