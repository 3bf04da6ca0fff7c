// A layer's place in a graph.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include <ps/nn/graph.h>

#include "nn/layer.h"

namespace ps::nn {

// Makes the layer; each time another one, with memory of its own once it is prepared.
using MakeLayer = std::function<std::unique_ptr<Layer>()>;

struct Node {
  MakeLayer make;                // empty for node 0, the input
  std::unique_ptr<Layer> layer;  // to ask for names and sizes; never prepared, never run
  std::vector<int> inputs;
  Shape shape;
  std::size_t first_parameter = 0;
  std::size_t parameter_count = 0;
};

// Some nodes of one stage in a row, [first, last), and their parameters: what is enqueued at once.
struct Segment {
  std::size_t index = 0;
  std::size_t first = 0;
  std::size_t last = 0;
  std::size_t first_parameter = 0;
  std::size_t parameter_count = 0;
};

}  // namespace ps::nn
