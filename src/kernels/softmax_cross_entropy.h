// Classification loss: softmax, then the negative logarithm of the true class's share.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace ps::kernels {

struct SoftmaxCrossEntropy {
  std::int64_t batch = 0;
  std::int64_t classes = 0;
};

struct ClassificationLoss {
  double loss = 0.0;         // mean over the valid samples; 0 if there is none
  std::int64_t samples = 0;  // valid ones: those whose label is in [0, classes)
  std::int64_t correct = 0;  // whose largest logit (the first of equals) is the label's
};

struct SoftmaxCrossEntropyOps {
  // logits [batch, classes], labels [batch]; a label outside [0, classes) leaves its sample out.
  // dlogits [batch, classes] (null: not wanted; may be logits) gets the mean loss's gradient, zero
  // for samples left out. The gradient's bits are the same on every instruction set.
  ClassificationLoss (*run)(const SoftmaxCrossEntropy& shape,
                            const float* logits,
                            const std::int32_t* labels,
                            float* dlogits);
};

const SoftmaxCrossEntropyOps& softmax_cross_entropy(Isa isa);

}  // namespace ps::kernels
