// One sample's values after another's: concatenation, which for [channels, height, width] is that
// of channels. One part at a time.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace ps::kernels {

// Where a part lies in each sample of the whole.
struct JoinedPart {
  std::int64_t batch = 0;
  std::int64_t floats = 0;  // of the part, a sample
  std::int64_t offset = 0;  // where it begins within the whole's sample
  std::int64_t whole = 0;   // floats of the whole, a sample
};

struct JoinOps {
  // part [batch, floats] into whole [batch, whole], whose other values stay.
  void (*put)(const JoinedPart& shape, const float* part, float* whole);
  // And back.
  void (*take)(const JoinedPart& shape, const float* whole, float* part);
  // As put, with zeros for all other values.
  void (*put_alone)(const JoinedPart& shape, const float* part, float* whole);
};

const JoinOps& join(Isa isa);

}  // namespace ps::kernels
