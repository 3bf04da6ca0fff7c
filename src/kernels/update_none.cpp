// update_cuda.h in a build without CUDA.
#include <ps/error.h>

#include "kernels/update_cuda.h"

namespace ps::kernels::gpu {
namespace {

[[noreturn]] void unavailable() {
  throw Error(ErrorCode::kUnavailable,
              "this build of ps has no CUDA, hence no kernels for GPUs: build it with PS_CUDA=ON");
}

}  // namespace

template <class Rule>
void update(const UpdatePass& /*pass*/,
            const Rule& /*rule*/,
            float* /*scratch*/,
            std::uint32_t* /*not_finite*/,
            StreamView /*stream*/) {
  unavailable();
}

#define PS_UPDATE_NONE(Rule) \
  template void update(const UpdatePass&, const Rule&, float*, std::uint32_t*, StreamView);
PS_FOR_EACH_UPDATE_RULE(PS_UPDATE_NONE)
#undef PS_UPDATE_NONE

void start_sum(float* /*sum*/,
               const float* /*values*/,
               float /*weight*/,
               std::size_t /*size*/,
               StreamView /*stream*/) {
  unavailable();
}

void add_to_sum(float* /*sum*/,
                const float* /*values*/,
                float /*weight*/,
                std::size_t /*size*/,
                StreamView /*stream*/) {
  unavailable();
}

void divide_sum(float* /*sum*/, float /*divisor*/, std::size_t /*size*/, StreamView /*stream*/) {
  unavailable();
}

void compensate(const CompensatePass& /*pass*/, float /*lambda*/, StreamView /*stream*/) {
  unavailable();
}

void compensate(const CompensatePass& /*pass*/,
                const AdaptiveCompensation& /*rule*/,
                float* /*mean_square*/,
                StreamView /*stream*/) {
  unavailable();
}

void check_finite(const float* /*values*/,
                  std::size_t /*size*/,
                  std::uint32_t* /*not_finite*/,
                  StreamView /*stream*/) {
  unavailable();
}

void squares(const float* /*values*/,
             std::size_t /*size*/,
             double* /*workspace*/,
             double* /*result*/,
             StreamView /*stream*/) {
  unavailable();
}

}  // namespace ps::kernels::gpu
