#include "worker/replica.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include <ps/error.h>

#include "base/assert.h"
#include "kernels/finite.h"
#include "optim/modes.h"

namespace ps::worker {
namespace {

// Of a report(): what was consumed, then, by kind, one number per parameter behind another.
constexpr std::size_t kSamples = 0;
constexpr std::size_t kNonfinite = 1;  // kReduced: parameters that were not finite
constexpr std::size_t kTouched = 2;    // kReduced: 1 for each that the step touched
constexpr std::size_t kWeight = 1;     // kLocal: what pack()ed values count
constexpr std::size_t kUpdates = 2;    // kLocal: updates of each, times that

Replica::Kind kind_of(const Consistency& mode) {
  if (std::holds_alternative<LocalSgd>(mode)) return Replica::Kind::kLocal;
  return std::holds_alternative<Easgd>(mode) ? Replica::Kind::kElastic : Replica::Kind::kReduced;
}

void copy(const Memory& from, const Memory& to) {
  std::ranges::copy(from.as<const float>(), to.as<float>().begin());
}

}  // namespace

// --- what there is -------------------------------------------------------------------------------

Replica::Replica(const ModelOptions& options, std::uint32_t workers, std::vector<Tensor> tensors)
    : options_(options),
      workers_(workers),
      kind_(kind_of(options.mode)),
      optimizer_(options, workers) {
  std::vector<std::string> names;
  for (const Tensor& tensor : tensors) names.push_back(tensor.info.name);
  const auto rates = optim::resolve_groups(options, names).rates;
  std::size_t largest = 0;
  for (Tensor& tensor : tensors) {
    const ParameterKind kind = tensor.info.kind;
    if (kind_ != Kind::kReduced && kind != ParameterKind::kTrained &&
        kind != ParameterKind::kAverage) {
      throw Error(ErrorCode::kInvalidArgument, "parameter '" + tensor.info.name + "': the mode " +
                                                   mode_name(options.mode) +
                                                   " takes trained and average parameters only");
    }
    Part part{std::move(tensor), rates[parts_.size()], {}};
    if (kind == ParameterKind::kTrained) {
      part.state = optimizer_.make_state(part.tensor.weights.size() / sizeof(float));
      largest = std::max(largest, part.tensor.weights.size());
    }
    parts_.push_back(std::move(part));
  }
  scratch_ = Memory::allocate(largest);
  plan_travel();
}

void Replica::plan_travel() {
  const auto add = [&](wire::ParameterInfo info, const Memory& in, const Memory& out) {
    travel_.parameters.push_back(std::move(info));
    travel_.weights.push_back(in);
    travel_.gradients.push_back(out);
  };
  const auto block_like = [](const Memory& memory) { return Memory::allocate(memory.size()); };
  for (const Part& part : parts_) {
    const Memory& weights = part.tensor.weights;
    const Memory& gradients = part.tensor.gradients;
    const bool trained = part.tensor.info.kind == ParameterKind::kTrained;
    if (kind_ == Kind::kLocal) {
      add(part.tensor.info, weights, block_like(weights));
    } else if (kind_ == Kind::kElastic) {
      add(part.tensor.info, block_like(weights), block_like(weights));
    } else {
      add(part.tensor.info, trained ? block_like(weights) : weights, gradients);
    }
    if (travel_.weights.back().bytes().data() != weights.bytes().data())
      copy(weights, travel_.weights.back());
  }
  // The optimizer's memory, behind all else: it is never waited for by itself.
  const auto* local = std::get_if<LocalSgd>(&options_.mode);
  if (local == nullptr || !local->average_state) return;
  for (const Part& part : parts_) {
    const Memory& floats = part.state.floats;
    if (floats.size() == 0) continue;
    const auto size = static_cast<std::int64_t>(floats.size() / sizeof(float));
    add({part.tensor.info.name + "#state", {size}, ParameterKind::kAverage}, floats,
        block_like(floats));
  }
}

void Replica::started() {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Memory& arrived = travel_.weights[i];
    if (arrived.bytes().data() != parts_[i].tensor.weights.bytes().data())
      copy(arrived, parts_[i].tensor.weights);
  }
}

Snapshot Replica::snapshot() const {
  Snapshot snapshot;
  snapshot.samples = agreed_samples_;
  for (const Part& part : parts_) {
    Snapshot::Parameter parameter;
    const Memory& weights = part.tensor.weights;
    const auto add = [&](wire::Part which, std::span<const float> values) {
      const Memory memory = Memory::allocate(weights.size());
      std::ranges::copy(values, memory.as<float>().begin());
      parameter.parts.emplace(which, memory);
    };
    add(wire::Part::kWeights, weights.as<const float>());
    const auto states = part.state.floats.as<const float>();
    const std::size_t size = weights.size() / sizeof(float);
    for (std::size_t i = 0; i * size < states.size(); ++i)
      add(wire::state_part(i), states.subspan(i * size, size));
    parameter.counts = {{.offset = 0, .version = version_, .updates = part.state.updates}};
    snapshot.parameters.push_back(std::move(parameter));
  }
  return snapshot;
}

void Replica::restore(const Snapshot& snapshot) {
  PS_ASSERT(snapshot.parameters.size() == parts_.size(), "a snapshot of this model's table");
  agreed_samples_ = snapshot.samples;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Snapshot::Parameter& from = snapshot.parameters[i];
    Part& part = parts_[i];
    const std::size_t size = part.tensor.weights.size() / sizeof(float);
    const auto counts = counts_of(from.counts, 0, size);
    version_ = std::max(version_, counts.version);
    part.state.updates = counts.updates;
    const auto states = part.state.floats.as<float>();
    for (std::size_t k = 0; k * size < states.size(); ++k) {
      const auto found = from.parts.find(wire::state_part(k));
      if (found == from.parts.end()) continue;
      std::ranges::copy(found->second.as<const float>(), states.subspan(k * size).begin());
    }
  }
}

void Replica::reset(Part& part) const {
  std::ranges::fill(part.state.floats.as<float>(), 0.0F);
  part.state.updates = 0;
}

std::uint64_t Replica::period() const {
  if (const auto* easgd = std::get_if<Easgd>(&options_.mode)) return easgd->period;
  const auto* local = std::get_if<LocalSgd>(&options_.mode);
  if (local == nullptr || agreed_samples_ < local->start_samples) return 1;
  return local->steps;
}

// --- a step --------------------------------------------------------------------------------------

void Replica::begin(double weight, std::uint32_t samples) {
  for (Part& part : parts_) part.touched = false;
  weight_ = weight;
  samples_ = samples;
  nonfinite_ = 0;
  since_.weight += weight;
  due_ = since_.steps + 1 >= period();
}

bool Replica::settle(std::size_t parameter, bool touched) {
  Part& part = parts_[parameter];
  if (!touched) return false;
  part.touched = kernels::all_finite(part.tensor.gradients.as<const float>());
  if (!part.touched) ++nonfinite_;
  return part.touched;
}

void Replica::step() {
  const bool refused = options_.finite == Finite::kStep && nonfinite_ > 0;
  double squares = 0.0;
  for (const Part& part : parts_) {
    if (part.touched && part.tensor.info.kind == ParameterKind::kTrained)
      squares += squares_of(part.tensor.gradients);
  }
  const float clip = clip_for(squares);
  for (Part& part : parts_) {
    if (!part.touched || refused) continue;
    if (part.tensor.info.kind == ParameterKind::kTrained) {
      update(part, part.tensor.gradients.as<const float>(), clip);
    } else {
      copy(part.tensor.gradients, part.tensor.weights);
    }
  }
  ++since_.steps;
  since_.samples += samples_;
}

double Replica::squares_of(const Memory& gradient) const {
  if (options_.clip_norm <= 0) return 0.0;
  return optim::Optimizer::sum_of_squares(gradient.as<const float>());
}

float Replica::clip_for(double squares) const {
  return std::isfinite(squares) ? optim::Optimizer::clip_factor(squares, options_.clip_norm) : 1.0F;
}

void Replica::update(Part& part, std::span<const float> gradient, float clip) {
  const auto weights = part.tensor.weights.as<float>();
  const auto next = scratch_.as<float>().first(weights.size());
  const optim::Contribution own{.rank = 0, .weight = 1.0, .values = gradient};
  // Between two agreements the others are taken to consume what this worker does.
  const std::uint64_t consumed = agreed_samples_ + since_.samples * workers_;
  optim::Optimizer::Step step{.kind = ParameterKind::kTrained,
                              .single = true,
                              .dimensions = part.tensor.info.shape.size(),
                              .clip = clip};
  optimizer_.pace(part.rates, consumed, step);
  const bool finite = optimizer_.apply(
      step, {.old_weights = weights, .new_weights = next, .folded = {}, .contributions = {&own, 1}},
      part.state);
  lr_ = part.state.lr;
  if (finite) {
    std::ranges::copy(next, weights.begin());
    return;
  }
  // As on a server: the weights stay, and what the optimizer remembers starts anew.
  ++nonfinite_;
  const std::uint64_t updates = part.state.updates;
  reset(part);
  part.state.updates = updates;
}

void Replica::amend(StepResult& result) {
  version_ = std::max(version_, result.version);
  result.version = version_;
  result.lr = lr_;
  result.nonfinite += std::exchange(nonfinite_, 0);
}

// --- kLocal --------------------------------------------------------------------------------------

void Replica::pack() {
  const auto& local = std::get<LocalSgd>(options_.mode);
  for (std::size_t i = 0; i < travel_.weights.size(); ++i)
    copy(travel_.weights[i], travel_.gradients[i]);
  if (local.average_state) return;
  for (Part& part : parts_) reset(part);
}

double Replica::packed_weight() const {
  return std::min(since_.weight, 1e30);
}

void Replica::averaged(std::span<const double> sums) {
  PS_ASSERT(sums.size() == kUpdates + parts_.size(), "every rank reports every parameter");
  agreed_samples_ += static_cast<std::uint64_t>(sums[kSamples]);
  since_ = {};
  if (!std::get<LocalSgd>(options_.mode).average_state || sums[kWeight] == 0) return;
  // The count belongs to the memory that was averaged: one that took no step has the others'.
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    parts_[i].state.updates =
        static_cast<std::uint64_t>(std::llround(sums[kUpdates + i] / sums[kWeight]));
  }
}

// --- kElastic ------------------------------------------------------------------------------------

void Replica::attract() {
  const float rate = optim::elastic_rate(std::get<Easgd>(options_.mode), workers_);
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const auto own = parts_[i].tensor.weights.as<float>();
    const auto center = travel_.weights[i].as<const float>();
    const auto difference = travel_.gradients[i].as<float>();
    for (std::size_t k = 0; k < own.size(); ++k) {
      difference[k] = rate * (own[k] - center[k]);
      own[k] -= difference[k];
    }
  }
  agreed_samples_ += since_.samples * workers_;
  since_ = {};
}

// The differences' memory is free between exchanges: it keeps this worker's own weights.
void Replica::show_center() {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (!shows_center_) copy(parts_[i].tensor.weights, travel_.gradients[i]);
    copy(travel_.weights[i], parts_[i].tensor.weights);
  }
  shows_center_ = true;
}

void Replica::resume() {
  if (!std::exchange(shows_center_, false)) return;
  for (std::size_t i = 0; i < parts_.size(); ++i)
    copy(travel_.gradients[i], parts_[i].tensor.weights);
}

// --- kLocal and kReduced -------------------------------------------------------------------------

std::vector<double> Replica::report() const {
  if (kind_ == Kind::kLocal) {
    const double weight = packed_weight();
    std::vector<double> values{static_cast<double>(since_.samples), weight};
    for (const Part& part : parts_)
      values.push_back(weight * static_cast<double>(part.state.updates));
    return values;
  }
  std::vector<double> values{static_cast<double>(samples_), static_cast<double>(nonfinite_)};
  for (const Part& part : parts_) values.push_back(part.touched ? 1.0 : 0.0);
  return values;
}

std::vector<Replica::Share> Replica::shares() const {
  std::vector<Share> shares;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    shares.push_back({.from = travel_.gradients[i].as<const float>(),
                      .to = travel_.weights[i].as<float>(),
                      .weight = parts_[i].touched ? weight_ : 0.0});
  }
  return shares;
}

void Replica::reduced(std::span<const double> sums) {
  PS_ASSERT(sums.size() == kTouched + parts_.size(), "every rank reports every parameter");
  bool refused = options_.finite == Finite::kStep && sums[kNonfinite] > 0;
  if (refused) nonfinite_ = static_cast<std::uint32_t>(sums[kNonfinite]);
  // What nobody touched holds the mean of an earlier round.
  const auto is_due = [&](std::size_t i) {
    return sums[kTouched + i] > 0 && !refused &&
           parts_[i].tensor.info.kind == ParameterKind::kTrained;
  };
  // Finite gradients may overflow together. Where a step is one whole, that costs all of it, as on
  // the servers; else update() leaves out the parameter.
  const bool whole = options_.finite == Finite::kStep || options_.clip_norm > 0;
  std::uint32_t overflows = 0;
  double squares = 0.0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (!is_due(i)) continue;
    squares += squares_of(travel_.weights[i]);
    if (whole && !kernels::all_finite(travel_.weights[i].as<const float>())) ++overflows;
  }
  if (overflows > 0) {
    refused = true;
    nonfinite_ = overflows;
  }
  const float clip = clip_for(squares);
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (is_due(i)) update(parts_[i], travel_.weights[i].as<const float>(), clip);
  }
  agreed_samples_ += static_cast<std::uint64_t>(sums[kSamples]);
}

}  // namespace ps::worker
