#include "kernels/add.h"
#include "kernels/lanes.h"

namespace ps::kernels::PS_ISA {
namespace {

void run(const float* a, const float* b, float* y, std::int64_t count) {
  PS_INDEPENDENT_LOOP
  for (std::int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

}  // namespace

extern const AddOps add_ops{.run = run};

}  // namespace ps::kernels::PS_ISA
