#include "kernels/join.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {
namespace {

void copy(const float* x, std::int64_t count, float* y) {
  PS_INDEPENDENT_LOOP
  for (std::int64_t i = 0; i < count; ++i) y[i] = x[i];
}

void put(const JoinedPart& shape, const float* part, float* whole) {
  for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
    copy(part + sample * shape.floats, shape.floats, whole + sample * shape.whole + shape.offset);
  }
}

void take(const JoinedPart& shape, const float* whole, float* part) {
  for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
    copy(whole + sample * shape.whole + shape.offset, shape.floats, part + sample * shape.floats);
  }
}

void put_alone(const JoinedPart& shape, const float* part, float* whole) {
  const std::int64_t end = shape.offset + shape.floats;
  for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
    float* out = whole + sample * shape.whole;
    fill(out, shape.offset, 0.0F);
    copy(part + sample * shape.floats, shape.floats, out + shape.offset);
    fill(out + end, shape.whole - end, 0.0F);
  }
}

}  // namespace

extern const JoinOps join_ops{.put = put, .take = take, .put_alone = put_alone};

}  // namespace ps::kernels::PS_ISA
