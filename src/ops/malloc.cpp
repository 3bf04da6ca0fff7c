#include "ops/malloc.h"

#include <cstdlib>
#include <initializer_list>
#include <malloc.h>

namespace ps::ops {

void keep_freed_memory() {
#if defined(__GLIBC__)
  for (const char* const name :
       {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES"}) {
    if (std::getenv(name) != nullptr) return;
  }
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc takes
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  ::mallopt(M_TOP_PAD, 16 << 20);
#endif
}

}  // namespace ps::ops
