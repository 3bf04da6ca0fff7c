// The server's update: weighted contributions become one gradient and the gradient new weights, in
// one pass over memory. For N contributions it reads and writes 4 N + 8 bytes per element and 8
// more per state of the rule (a separate reduction would make it 12 N + 8).
//
// Every product and sum is rounded on its own, in the order given, so the bits depend neither on
// the instruction set nor on how many contributions were folded beforehand (reduce.h).
#pragma once

#include <cstddef>

#include "kernels/isa.h"
#include "kernels/update_math.h"

namespace ps::kernels {

// weight * values[i] is this contribution's term. The values may lie at any byte address.
struct WeightedValues {
  const float* values = nullptr;
  float weight = 1.0F;
};

// gradient[i] = (prefix[i] + weight_0 * values_0[i] + weight_1 * values_1[i] + ...) / divisor *
// factor, from left to right. Without a prefix (null) the first term starts the sum.
// REQUIRES: a prefix or a contribution; weights and the divisor finite and > 0. Weight 1, divisor 1
// and factor 1 leave a number as it is, to the bit; n * g / n does not.
struct WeightedSum {
  const float* prefix = nullptr;
  const WeightedValues* contributions = nullptr;
  std::size_t count = 0;
  float divisor = 1.0F;
  float factor = 1.0F;
};

// One chunk: vectors of `size` floats, 0 included. new_weights may be the weights or the prefix;
// what is written overlaps nothing else. Nothing is kept after the call.
struct UpdatePass {
  std::size_t size = 0;
  const float* weights = nullptr;
  float* new_weights = nullptr;
  float* state = nullptr;   // the rule's first state, in update_math.h's order
  float* state2 = nullptr;  // its second
  WeightedSum gradient;
};

// Each applies its rule to every element and returns whether all new weights are finite (state is
// not looked at). Any number of threads may call them on passes that share no memory.
struct UpdateOps {
  bool (*sgd)(const UpdatePass& pass, const SgdRule& rule);
  bool (*momentum)(const UpdatePass& pass, const MomentumRule& rule);
  bool (*nesterov)(const UpdatePass& pass, const NesterovRule& rule);
  bool (*adam)(const UpdatePass& pass, const AdamRule& rule);
  bool (*adagrad)(const UpdatePass& pass, const AdagradRule& rule);
  bool (*rmsprop)(const UpdatePass& pass, const RmsPropRule& rule);
  bool (*rmsprop_momentum)(const UpdatePass& pass, const RmsPropMomentumRule& rule);
  bool (*lars)(const UpdatePass& pass, const LarsRule& rule);
  bool (*lamb)(const UpdatePass& pass, const LambRule& rule);  // new_weights: the direction u
  bool (*ftrl)(const UpdatePass& pass, const FtrlRule& rule);
  bool (*assign)(const UpdatePass& pass, const AssignRule& rule);
  bool (*move)(const UpdatePass& pass, const MoveRule& rule);
  bool (*add)(const UpdatePass& pass, const AddRule& rule);
  bool (*ema)(const UpdatePass& pass, const EmaRule& rule);
};

const UpdateOps& update(Isa isa);

}  // namespace ps::kernels
