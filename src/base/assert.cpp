#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace ps {

void assertion_failed(const char* condition, const char* why, const char* file, int line) noexcept {
  std::fprintf(stderr,
               "ps: broken invariant at %s:%d: %s (%s). This is a bug in ps; please report it.\n",
               file, line, why, condition);
  std::fflush(stderr);
  std::abort();
}

}  // namespace ps
