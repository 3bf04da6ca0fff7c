// What a detector's training step on a GPU has to read, write and compute, kernel by kernel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ps/nn/detector.h>

namespace psbench {

// One kind of work of a layer, for the whole batch.
struct Work {
  std::string kind;
  std::string name;
  double flops = 0.0;
  double floats = 0.0;  // that our kernels read and write
  double least = 0.0;   // inputs once, outputs once
  int launches = 1;
};

// Of a step at size x size pixels: forward, loss, backward.
std::vector<Work> works_of(const ps::nn::DetectorTable& table,
                           std::int64_t classes,
                           std::int64_t size,
                           std::int64_t batch);

}  // namespace psbench
