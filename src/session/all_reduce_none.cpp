#include <ps/error.h>

#include "session/all_reduce.h"

namespace ps {

bool AllReduce::available() noexcept {
  return false;
}

std::unique_ptr<AllReduce> AllReduce::connect(const Options& /*options*/,
                                              std::size_t /*shares*/,
                                              std::size_t /*floats*/) {
  throw Error(ErrorCode::kUnavailable,
              "consistency.mode = allreduce needs Gloo, which this build of ps has not: install "
              "libgloo-dev and build it again");
}

}  // namespace ps
