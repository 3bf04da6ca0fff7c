// A worker's own copy of a model, in the modes where it has one: the optimizer's memory, the local
// steps, and what is exchanged with the others. Pure arithmetic and bookkeeping: knows nothing of
// messages; the session moves what travel() names. Rules: docs/consistency.md.
//
// A step is begin(), settle() for every parameter, then by kind
//   kLocal    step(); if due(): pack(), average over the workers, averaged()
//   kElastic  step(); if due(): fetch the center, attract(), add the differences to it
//   kReduced  average the gradients over the workers, reduced()
//
// Invariants
// 1. Weights are finite: an update whose weights would not be is left out.
// 2. Whatever follows from sums over the ranks is the same on every rank: agreed samples, due(),
// and for kReduced every bit of the weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ps/options.h>

#include "base/buffer.h"
#include "optim/groups.h"
#include "optim/optimizer.h"
#include "wire/control.h"
#include "worker/snapshot.h"
#include "worker/step.h"

namespace ps::worker {

class Replica {
 public:
  enum class Kind : std::uint8_t {
    kLocal,    // LocalSgd: the weights are averaged
    kElastic,  // Easgd: a center attracts them
    kReduced,  // Sync with Update::kWorker: the gradients are averaged
  };
  struct Tensor {
    wire::ParameterInfo info;
    Memory weights;  // the user's; stays where it is
    Memory gradients;
  };
  // What is registered and moved: as many of each.
  // A parameter's part in the step under way: `to` shall become the workers' weighted mean of
  // `from`; without weight it is no part.
  struct Share {
    std::span<const float> from;
    std::span<float> to;
    double weight = 0.0;
  };
  struct Travel {
    std::vector<wire::ParameterInfo> parameters;
    std::vector<Memory> weights;    // arrives here
    std::vector<Memory> gradients;  // leaves from here
  };

  // REQUIRES: optim::updates_on_workers(options). Throws ps::Error(kInvalidArgument) for a
  // parameter of a kind that cannot be exchanged in this mode.
  Replica(const ModelOptions& options, std::uint32_t workers, std::vector<Tensor> tensors);

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const Travel& travel() const { return travel_; }
  // All that training needs to go on, at an instant when every rank has the same. REQUIRES: not
  // kElastic, and !differs().
  [[nodiscard]] Snapshot snapshot() const;
  // Goes on from there; before started(). A part that is not there starts at 0. REQUIRES: a
  // snapshot of as many tensors, of their sizes.
  void restore(const Snapshot& snapshot);
  // Rank 0's initial values have arrived in travel().weights.
  void started();

  // --- a step ------------------------------------------------------------------------------------
  void begin(double weight, std::uint32_t samples);
  // Whether this parameter's gradient is part of the step: touched, and finite.
  bool settle(std::size_t parameter, bool touched);
  // kLocal, kElastic: the optimizer on this worker's own gradients.
  void step();
  // Does the step under way end with an exchange?
  [[nodiscard]] bool due() const { return due_; }

  // kLocal: makes the weights ready to leave.
  void pack();
  // Since the last exchange: with what weight pack()ed values count, and what was consumed.
  [[nodiscard]] double packed_weight() const;
  [[nodiscard]] std::uint64_t packed_samples() const { return since_.samples; }
  // Has a step been taken since?
  [[nodiscard]] bool differs() const { return since_.steps > 0; }

  // kElastic: moves the weights towards the center in travel().weights and leaves the differences
  // in travel().gradients.
  void attract();
  // kElastic: weights() are the center, until resume().
  void show_center();
  void resume();
  [[nodiscard]] bool shows_center() const { return shows_center_; }

  // kReduced, where no server does it: what to average, parameter by parameter.
  [[nodiscard]] std::vector<Share> shares() const;

  // kLocal, kReduced: what is to be summed over the ranks beside the exchange, and what to do with
  // the sums once both are there.
  [[nodiscard]] std::vector<double> report() const;
  void averaged(std::span<const double> sums);
  void reduced(std::span<const double> sums);

  // Adds what this worker knows by itself: the last learning rate, the version of the last
  // exchange, and parameters left out because of NaN or infinity (once).
  void amend(StepResult& result);

 private:
  struct Part {
    Tensor tensor;
    optim::ParameterRates rates;
    optim::Optimizer::ChunkState state;
    bool touched = false;  // by the step under way
  };
  struct Since {  // the last exchange
    std::uint64_t steps = 0;
    std::uint64_t samples = 0;
    double weight = 0.0;
  };

  void plan_travel();
  void reset(Part& part) const;
  [[nodiscard]] std::uint64_t period() const;
  // Of clipping, which looks at the whole gradient; 0 without it.
  [[nodiscard]] double squares_of(const Memory& gradient) const;
  [[nodiscard]] float clip_for(double squares) const;
  void update(Part& part, std::span<const float> gradient, float clip);

  const ModelOptions options_;
  const std::uint32_t workers_;
  const Kind kind_;
  const optim::Optimizer optimizer_;
  std::vector<Part> parts_;
  Travel travel_;
  Memory scratch_;  // new weights, until they are known to be finite
  Since since_;
  std::uint64_t agreed_samples_ = 0;  // consumed by all, when they last agreed
  double weight_ = 0.0;               // of the step under way
  std::uint32_t samples_ = 0;         // likewise
  bool due_ = false;
  float lr_ = 0.0F;
  std::uint64_t version_ = 0;
  std::uint32_t nonfinite_ = 0;
  bool shows_center_ = false;
};

}  // namespace ps::worker
