// Which instruction set the CPU kernels run on, and how one source serves several of them.
//
// X_cpu.cpp is compiled once per instruction set (see CMakeLists.txt), with PS_ISA defined as the
// namespace's name: scalar, avx2 or avx512. It puts every name into ps::kernels::PS_ISA and exports
// one table of function pointers, `extern const XOps x_ops`. X.h declares the table's type and
// `const XOps& x(Isa)`; dispatch.cpp, compiled without extra flags, defines it by PS_ISA_DISPATCH.
//
// The linker merges inline functions of equal names across objects, so a copy compiled for AVX-512
// may end up in a program that runs elsewhere. Hence in X_cpu.cpp and in what it calls: raw
// pointers in plain structs, no std templates that might be emitted (span, min, vector),
// functions of headers are PS_HOST_DEVICE (always inlined), and Eigen has another name per
// instruction set. scripts/check_isa_symbols, a ctest, looks at the objects.
#pragma once

#include <span>

namespace ps::kernels {

enum class Isa {
  kScalar,  // the compiler's baseline (SSE2 on x86-64)
  kAvx2,    // AVX2, FMA and F16C
  kAvx512,  // AVX-512 F, BW, DQ and VL, FMA and F16C
};

// "scalar", "avx2" or "avx512".
const char* to_string(Isa isa) noexcept;

// Whether this program has code for it and this machine (CPU and operating system) can run it.
bool available(Isa isa) noexcept;

// The widest available one: what production code uses.
Isa best_isa() noexcept;

// All available ones, for tests: kScalar first.
std::span<const Isa> available_isas() noexcept;

}  // namespace ps::kernels

// Defines `const Ops& name(Isa)`, which picks the table `name_ops` of one instruction set.
// REQUIRES: available(isa). To be used in namespace ps::kernels of a file without extra flags.
#if defined(__x86_64__)
#define PS_ISA_DISPATCH(Ops, name) \
  namespace scalar {               \
  extern const Ops name##_ops;     \
  }                                \
  namespace avx2 {                 \
  extern const Ops name##_ops;     \
  }                                \
  namespace avx512 {               \
  extern const Ops name##_ops;     \
  }                                \
  const Ops& name(Isa isa) {       \
    switch (isa) {                 \
      case Isa::kAvx512:           \
        return avx512::name##_ops; \
      case Isa::kAvx2:             \
        return avx2::name##_ops;   \
      case Isa::kScalar:           \
        break;                     \
    }                              \
    return scalar::name##_ops;     \
  }
#else
#define PS_ISA_DISPATCH(Ops, name) \
  namespace scalar {               \
  extern const Ops name##_ops;     \
  }                                \
  const Ops& name(Isa /*isa*/) {   \
    return scalar::name##_ops;     \
  }
#endif
