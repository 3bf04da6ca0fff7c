// The server's kernels on a GPU: what update.h, reduce.h, compensate.h, finite.h and norm.h say,
// with the same bits (a NaN is a NaN, its payload is the device's own). Free functions over device
// memory.
//
// Every function enqueues on the stream and returns; nothing allocates or waits. Vectors have 0 or
// more floats at any address that is a multiple of 4; 16-byte accesses where addresses allow.
// `not_finite` is a word in device memory that becomes 1 when a result (or a value looked at) is an
// infinity or a NaN, and is left alone otherwise: zeroed once, it tells of several calls.
//
// In a build without CUDA all of them throw Error{kUnavailable}.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/compensate.h"
#include "kernels/device.h"
#include "kernels/update.h"

namespace ps::kernels::gpu {

// What one launch takes; more contributions are folded into `scratch` first, in their order.
inline constexpr std::size_t kMostContributions = 64;

// One fused pass, of any rule of update_math.h. pass.gradient.contributions is an array in host
// memory (it is copied now); all vectors are in device memory. `scratch` has pass.size floats and
// is needed only for more than kMostContributions.
template <class Rule>
void update(const UpdatePass& pass,
            const Rule& rule,
            float* scratch,
            std::uint32_t* not_finite,
            StreamView stream);

// The rules that update() is compiled for.
// clang-format off
#define PS_FOR_EACH_UPDATE_RULE(M) \
  M(SgdRule) M(MomentumRule) M(NesterovRule) M(AdamRule) \
  M(AdagradRule) M(RmsPropRule) M(RmsPropMomentumRule) M(LarsRule) \
  M(LambRule) M(FtrlRule) M(AssignRule) M(MoveRule) \
  M(AddRule) M(EmaRule)
// clang-format on

// As ReduceOps.
void start_sum(float* sum, const float* values, float weight, std::size_t size, StreamView stream);
void add_to_sum(float* sum, const float* values, float weight, std::size_t size, StreamView stream);
void divide_sum(float* sum, float divisor, std::size_t size, StreamView stream);

// As CompensateOps.
void compensate(const CompensatePass& pass, float lambda, StreamView stream);
void compensate(const CompensatePass& pass,
                const AdaptiveCompensation& rule,
                float* mean_square,
                StreamView stream);

// As FiniteOps::all.
void check_finite(const float* values,
                  std::size_t size,
                  std::uint32_t* not_finite,
                  StreamView stream);

// As NormOps::squares, into *result. `workspace` has squares_workspace(size) doubles.
void squares(
    const float* values, std::size_t size, double* workspace, double* result, StreamView stream);
[[nodiscard]] constexpr std::size_t squares_workspace(std::size_t size) {
  return (size + 4095) / 4096;
}

}  // namespace ps::kernels::gpu
