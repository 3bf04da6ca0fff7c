// The codecs of codec.h on a GPU, from and to device memory, with the same bytes.
//
// Every function enqueues on the stream and returns; nothing allocates or waits. Of a pass,
// `values`, `residual` and `encoded` are device addresses, multiples of 4; of 16 is faster.
//
// In a build without CUDA all of them throw Error{kUnavailable}.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/codec.h"
#include "kernels/device.h"

namespace ps::kernels::gpu {

// What pass.workspace must have here, in device memory, aligned to 8.
[[nodiscard]] std::size_t encode_workspace(Codec codec, std::size_t count) noexcept;

void encode(const EncodePass& pass, StreamView stream);

// Any bytes may come. What the size tells, the result does; then nothing is enqueued. What only the
// bytes tell, *error does (in device memory; a CodecError, kNone before): it becomes what is wrong,
// and then nothing is written; neither is anything by later calls with that word.
CodecError decode(const DecodePass& pass, std::uint32_t* error, StreamView stream);

}  // namespace ps::kernels::gpu
