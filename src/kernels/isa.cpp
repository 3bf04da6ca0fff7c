#include "kernels/isa.h"

#include <array>

namespace ps::kernels {

const char* to_string(Isa isa) noexcept {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

bool available(Isa isa) noexcept {
#if defined(__x86_64__)
  // The compiler's run-time asks cpuid once, and xgetbv whether the system saves the wide
  // registers.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
  return false;
#else
  return isa == Isa::kScalar;
#endif
}

Isa best_isa() noexcept {
  return available_isas().back();
}

std::span<const Isa> available_isas() noexcept {
  static constexpr std::array kAll{Isa::kScalar, Isa::kAvx2, Isa::kAvx512};
  std::size_t count = 1;
  while (count < kAll.size() && available(kAll[count])) ++count;
  return std::span(kAll).first(count);
}

}  // namespace ps::kernels
