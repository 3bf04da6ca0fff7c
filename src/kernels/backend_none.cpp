// The GPU's backend in a build without CUDA.
#include <string>

#include <ps/error.h>

#include "kernels/backend.h"

namespace ps::kernels {

std::unique_ptr<Backend> cuda_backend(int device, Precision /*precision*/) {
  throw Error(ErrorCode::kUnavailable, "cuda:" + std::to_string(device) +
                                           " was asked for, but this ps was built without " +
                                           "CUDA; use the CPU, or build with PS_CUDA=ON");
}

}  // namespace ps::kernels
