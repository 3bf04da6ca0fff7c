// The convolutions of a detector's table, and the time that each pass of one takes.
#pragma once

#include <cstdint>
#include <vector>

#include <ps/nn/detector.h>

#include "kernels/convolution.h"
#include "timing.h"

namespace psbench {

using Floats = std::vector<float>;
Floats random_floats(std::int64_t count, std::uint64_t seed);

// One shape of convolution with what follows it, and how often the network has it.
struct Layer {
  ps::kernels::Convolution shape;
  bool block = false;  // followed by batch norm and an activation
  bool first = false;  // the image's gradient is not wanted
  int count = 0;
};

// Those of a table at an input of size x size pixels; equal ones are counted together.
std::vector<Layer> convolutions_of(const ps::nn::DetectorTable& table,
                                   std::int64_t classes,
                                   std::int64_t size);

// The passes of one layer, each measured on memory of its own.
class LayerBench {
 public:
  LayerBench(const Layer& layer, std::int64_t batch);

  void measure();

  [[nodiscard]] const Layer& layer() const { return layer_; }
  // Of one pass of the convolution.
  [[nodiscard]] double flops() const;

  Samples forward, data, weights, norm_forward, norm_backward;

 private:
  Layer layer_;
  Floats x_, dx_, weights_, dweights_, y_, z_, workspace_;
  Floats channel_[6];
};

}  // namespace psbench
