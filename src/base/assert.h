// Checks of ps's own invariants. They stay on in every build: a broken invariant must not train on.
// Never for bytes from a peer or a file, which are answered, not asserted.
#pragma once

namespace ps {

[[noreturn]] void assertion_failed(const char* condition,
                                   const char* why,
                                   const char* file,
                                   int line) noexcept;

}  // namespace ps

#define PS_ASSERT(condition, why)                      \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::ps::assertion_failed(#condition, why, __FILE__, __LINE__))

// For hot loops: only in debug builds.
#ifdef NDEBUG
#define PS_DCHECK(condition, why) static_cast<void>(0)
#else
#define PS_DCHECK(condition, why) PS_ASSERT(condition, why)
#endif
