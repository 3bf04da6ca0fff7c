#include "worker/accumulator.h"

#include <algorithm>
#include <utility>

#include "kernels/reduce.h"

namespace ps::worker {

Accumulator::Accumulator(Reduce reduce, std::vector<Tensor> tensors)
    : reduce_(reduce), tensors_(std::move(tensors)) {}

bool Accumulator::is_mean(ParameterKind kind) const {
  return kind == ParameterKind::kAverage ||
         (kind == ParameterKind::kTrained && reduce_ == Reduce::kMean);
}

void Accumulator::add(double weight, std::uint32_t samples) {
  samples_ += samples;
  if (weight == 0) return;
  if (sums_.empty()) {
    for (const Tensor& tensor : tensors_)
      sums_.push_back(Memory::allocate(tensor.gradients.size()));
  }
  for (std::size_t i = 0; i < tensors_.size(); ++i) add_to(i, weight, weight_ == 0);
  weight_ += weight;
}

void Accumulator::add_to(std::size_t tensor, double weight, bool first) {
  const Tensor& from = tensors_[tensor];
  const auto values = from.gradients.as<const float>();
  float* sum = sums_[tensor].as<float>().data();
  const float factor = is_mean(from.kind) ? static_cast<float>(weight) : 1.0F;
  const kernels::ReduceOps& ops = kernels::reduce(kernels::best_isa());
  const auto take = first || from.kind == ParameterKind::kAssign ? ops.start : ops.add;
  take(sum, values.data(), factor, values.size());
}

bool Accumulator::finish(std::size_t tensor, double weight, bool touched) {
  if (weight_ == 0) return touched;
  if (touched && weight > 0) add_to(tensor, weight, false);
  const Tensor& to = tensors_[tensor];
  const auto sum = sums_[tensor].as<float>();
  if (is_mean(to.kind)) {
    const auto total = static_cast<float>(weight_ + weight);
    kernels::reduce(kernels::best_isa()).divide(sum.data(), total, sum.size());
  }
  std::ranges::copy(sum, to.gradients.as<float>().begin());
  return true;
}

void Accumulator::clear() {
  weight_ = 0.0;
  samples_ = 0;
}

}  // namespace ps::worker
