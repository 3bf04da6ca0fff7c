// What lies between a detector's raw output and boxes: loss, decoding, non-maximum suppression. On
// one CPU core.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ps/nn/detection_head.h>

namespace ps::nn {

struct CriterionSpec;

// A true box: center and size as fractions of the network's input, center in [0, 1], size >= 0 (a
// box without area is matched by no cell).
struct Target {
  std::int32_t image = 0;     // within the batch
  std::int32_t category = 0;  // in [0, classes)
  float x = 0.0F;
  float y = 0.0F;
  float width = 0.0F;
  float height = 0.0F;
};

// The gains are used as they are: see scaled_gains.
struct DetectionLossOptions {
  float box = 0.05F;
  float objectness = 1.0F;  // with anchors only
  float category = 0.5F;
  float dfl = 1.5F;  // anchor-free only: distribution focal loss
  // With anchors only, as all below. A box is matched with an anchor if no side is that many times
  // the other's.
  float anchor_threshold = 4.0F;
  float label_smoothing = 0.0F;    // e: true class 1 - e / 2, others e / 2
  float focal_gamma = 0.0F;        // > 0: both cross-entropies become focal losses
  float category_weight = 1.0F;    // of a cross-entropy's positive part (cls_pw)
  float objectness_weight = 1.0F;  // (obj_pw)
  // How much each level's objectness counts; empty: 4, 1, 0.4 for three levels, for others the
  // first of 4, 1, 0.25, 0.06, 0.02.
  std::vector<float> balance = {};
};

// The usual ones: with anchors as above; anchor-free box 7.5, category 0.5, dfl 1.5.
DetectionLossOptions default_loss_options(const DetectionHead& head);

// Gains that were tuned for 3 levels, 80 classes and 640 pixels, fitted to others: box * 3/levels,
// category * classes/80 * 3/levels, objectness * (image_size/640)^2 * 3/levels. For heads with
// anchors; on small images it leaves objectness little weight.
DetectionLossOptions scaled_gains(DetectionLossOptions options,
                                  std::int64_t levels,
                                  std::int64_t classes,
                                  std::int64_t image_size);

// The parts before their gains. With anchors: box and category are summed over levels, each a mean
// over that level's positives; objectness is the sum of balance * mean over all cells. Anchor-free:
// sums over the batch divided by the sum of all target scores (at least 1).
struct DetectionLoss {
  double box = 0.0;  // of 1 - CIoU
  double objectness = 0.0;
  double category = 0.0;
  double dfl = 0.0;
  double total = 0.0;          // batch * sum of gain * part
  std::int64_t positives = 0;  // cells, counted once per anchor and true box
};

// One thread at a time. Throws Error{kInvalidArgument} for misuse, before anything has changed.
class DetectionCriterion {
 public:
  DetectionCriterion(const DetectionHead& head,
                     const DetectionLossOptions& options,
                     std::int64_t max_batch);
  DetectionCriterion(const DetectionCriterion&) = delete;
  DetectionCriterion& operator=(const DetectionCriterion&) = delete;
  DetectionCriterion(DetectionCriterion&&) noexcept;
  DetectionCriterion& operator=(DetectionCriterion&&) noexcept;
  ~DetectionCriterion();

  // output: [batch, head.size()], 1 <= batch <= max_batch. gradient: as large, overwritten with
  // d total / d output; or empty, when only the loss is wanted. The same bits for the same bits on
  // one machine. Allocates only when there are more targets than ever before. A NaN makes the loss
  // NaN where it counts (the classes of a cell without a box do not, with anchors), and is no
  // error.
  DetectionLoss run(std::span<const float> output,
                    std::int64_t batch,
                    std::span<const Target> targets,
                    std::span<float> gradient);

 private:
  friend class Graph;      // which takes the same loss on its own device,
  friend class BoxFinder;  // as does this
  [[nodiscard]] const CriterionSpec& spec() const noexcept;

  class Impl;
  std::unique_ptr<Impl> impl_;
};

// rows: [batch, head.candidates(), head.row_floats()]: center and size in pixels of the input,
// with anchors objectness, then classes, as probabilities. Order: level, anchor, row, column.
void decode(const DetectionHead& head,
            std::span<const float> output,
            std::int64_t batch,
            std::span<float> rows);

// Corners in the rows' unit.
struct Detection {
  float x1 = 0.0F;
  float y1 = 0.0F;
  float x2 = 0.0F;
  float y2 = 0.0F;
  float score = 0.0F;
  std::int32_t category = 0;

  friend bool operator==(const Detection&, const Detection&) = default;
};

struct NmsOptions {
  float confidence = 0.25F;  // only above: objectness, and the score
  float iou = 0.45F;         // only above is a box suppressed
  std::int64_t max_detections = 300;
  std::int64_t max_candidates = 30000;  // the best of them
  bool multi_label = false;             // every class above the confidence, not only a box's best
  bool agnostic = false;                // suppress across classes
  std::vector<std::int32_t> classes = {};  // only these; empty: all
};

// Boxes of one image, best first; equal scores in the order of rows, then classes. rows: any number
// of them, [n, (has_objectness ? 5 : 4) + classes], as decode makes them; several models' or sizes'
// may be put together. Score: objectness * class. A row that is not finite is left out.
std::vector<Detection> suppress(std::span<const float> rows,
                                std::int64_t classes,
                                bool has_objectness,
                                const NmsOptions& options);

}  // namespace ps::nn
