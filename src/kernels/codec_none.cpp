// codec_cuda.h in a build without CUDA.
#include <ps/error.h>

#include "kernels/codec_cuda.h"

namespace ps::kernels::gpu {
namespace {

[[noreturn]] void unavailable() {
  throw Error(ErrorCode::kUnavailable,
              "this build of ps has no CUDA, hence no codecs for GPUs: build it with PS_CUDA=ON");
}

}  // namespace

std::size_t encode_workspace(Codec /*codec*/, std::size_t /*count*/) noexcept {
  return 0;
}

void encode(const EncodePass& /*pass*/, StreamView /*stream*/) {
  unavailable();
}

CodecError decode(const DecodePass& /*pass*/, std::uint32_t* /*error*/, StreamView /*stream*/) {
  unavailable();
}

}  // namespace ps::kernels::gpu
