// A slice of a batch on its way through a graph: the layers' memory and calls. On one device, or
// through the stages of a split network one after the other; values and gradients then cross
// between devices by events. Everything is enqueued in the order of the calls.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ps/nn/graph.h>

#include "base/buffer.h"
#include "kernels/backend.h"
#include "kernels/device.h"
#include "nn/criterion.h"
#include "nn/device_criterion.h"
#include "nn/node.h"
#include "nn/plan.h"
#include "nn/recordings.h"
#include "nn/stage.h"

namespace ps::nn {

class Lane {
 public:
  // What this slice's results count in those of the whole batch.
  struct Share {
    float gradients = 1.0F;
    float averages = 1.0F;
  };

  struct Options {
    bool others = false;  // another slice comes first on the same stages: this one's gradients are
                          // added to that one's
    bool record = false;  // on GPUs
  };

  // stages: of all nodes, in order; they, the nodes and the parameters outlive this. Allocates
  // everything but recordings.
  Lane(std::span<const Node> nodes,
       std::span<const Parameter> parameters,
       std::vector<Stage*> stages,
       std::int64_t max_batch,
       const Options& options);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane() = default;

  [[nodiscard]] std::int64_t batch() const noexcept { return batch_; }

  // --- A pass: begin, forward over all segments, a loss, begin_backward, backward over all.

  // host: where the caller's parameters lie, for the CPU.
  void begin(std::span<const float> images, bool training, std::span<const Bound> host);
  void forward(const Segment& segment);

  // Of the last node, in its backend's memory.
  [[nodiscard]] std::span<float> output() const;
  [[nodiscard]] std::span<float> output_gradient() const;
  [[nodiscard]] kernels::Backend& last_backend() const { return *parts_.back().stage->backend; }

  // The classifier's loss; with a gradient, it becomes the output's.
  void compute_loss(std::span<const std::int32_t> labels, bool with_gradient);
  Result loss();  // waits
  // A detector's, with the gradient; on a GPU only. The targets' images are this slice's.
  void compute_detection_loss(const CriterionSpec& criterion, std::span<const Target> targets);
  DetectionLoss detection_loss() { return criterion_->loss(); }  // waits

  // Gradients of values are loss_scale times as large from here on, those of parameters are not.
  void begin_backward(float loss_scale, const Share& share);
  void backward(const Segment& segment);

 private:
  // A value from an earlier stage, and its gradient on the way back.
  struct Import {
    std::size_t node = 0;
    std::size_t from = 0;  // part
    Memory beside;         // there, for a gradient that is to be added; empty: it is the first
    kernels::Event computed;
    kernels::Event arrived;
    kernels::Event gradient_computed;
    kernels::Event gradient_arrived;
  };
  // A stage's memory for this slice.
  struct Part {
    Stage* stage = nullptr;
    Plan plan;
    Memory block;
    Memory images;                 // on a GPU, if the stage reads them
    const float* input = nullptr;  // where the images are
    std::vector<Import> imports;
  };

  void plan_part(std::size_t index);
  [[nodiscard]] bool reads(const Part& part, std::size_t node) const;
  [[nodiscard]] bool read_later(std::size_t index, std::size_t node) const;
  void add_imports(std::size_t index);
  [[nodiscard]] float* memory(const Part& part, std::int64_t offset) const;
  [[nodiscard]] Call call(std::size_t node) const;
  [[nodiscard]] std::span<const Bound> bound(const Part& part, const Node& node) const;
  void enqueue(const Segment& segment, Recordings& recordings, const Enqueue& nodes);
  void bring_values(Part& part);
  void bring_gradients(std::size_t index);
  void backward(std::size_t node);
  void add_gradients(std::size_t node, const Call& call) const;
  void finish_parameters(std::size_t node, const Call& call) const;

  std::span<const Node> nodes_;
  std::span<const Parameter> parameters_;
  const std::int64_t max_batch_;
  Options options_;
  std::vector<std::unique_ptr<Layer>> layers_;  // of nodes
  std::vector<Part> parts_;
  std::vector<std::size_t> part_of_;  // a node's
  Memory labels_;
  Memory loss_;  // kernels::ClassificationLoss

  std::unique_ptr<DeviceCriterion> criterion_;  // of the DetectionCriterion used last
  std::uint64_t criterion_id_ = 0;

  // Of segments, by what the passes that they are of have in common.
  RecordingSets forwards_;
  RecordingSets backwards_;
  Recordings* forward_ = nullptr;  // this pass's
  Recordings* backward_ = nullptr;

  // The last pass.
  std::span<const Bound> host_;
  std::int64_t batch_ = 0;
  bool training_ = false;
  float loss_scale_ = 1.0F;
  Share share_;
};

}  // namespace ps::nn
