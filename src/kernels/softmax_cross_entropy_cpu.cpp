#include "kernels/activation_math.h"
#include "kernels/lanes.h"
#include "kernels/softmax_cross_entropy.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

bool valid(std::int32_t label, Index classes) {
  return label >= 0 && label < classes;
}

Index largest(const float* logits, Index classes) {
  Index best = 0;
  for (Index i = 1; i < classes; ++i) best = logits[i] > logits[best] ? i : best;
  return best;
}

ClassificationLoss run(const SoftmaxCrossEntropy& shape,
                       const float* logits,
                       const std::int32_t* labels,
                       float* dlogits) {
  const Index classes = shape.classes;
  ClassificationLoss result;
  for (Index n = 0; n < shape.batch; ++n) result.samples += valid(labels[n], classes) ? 1 : 0;
  const double share = result.samples == 0 ? 0.0 : 1.0 / static_cast<double>(result.samples);
  for (Index n = 0; n < shape.batch; ++n) {
    const float* row = logits + n * classes;
    float* gradient = dlogits == nullptr ? nullptr : dlogits + n * classes;
    if (!valid(labels[n], classes)) {
      if (gradient != nullptr) fill(gradient, classes, 0.0F);
      continue;
    }
    const Index label = labels[n];
    const Index best = largest(row, classes);
    // Relative to the largest, so that nothing overflows.
    const float top = row[best];
    const double total = sum(classes, [row, top](Index i) { return exponential(row[i] - top); });
    result.correct += best == label ? 1 : 0;
    result.loss += __builtin_log(total) - (double{row[label]} - double{top});
    if (gradient == nullptr) continue;
    const auto scale = static_cast<float>(share / total);
    PS_INDEPENDENT_LOOP
    for (Index i = 0; i < classes; ++i) gradient[i] = exponential(row[i] - top) * scale;
    gradient[label] -= static_cast<float>(share);
  }
  result.loss *= share;
  return result;
}

}  // namespace

extern const SoftmaxCrossEntropyOps softmax_cross_entropy_ops{.run = run};

}  // namespace ps::kernels::PS_ISA
