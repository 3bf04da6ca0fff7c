// What the codecs' files share. To be included only by files that are compiled per instruction set
// (isa.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/codec.h"
#include "kernels/codec_half_cpu.h"
#include "kernels/codec_math.h"
#include "kernels/lanes.h"
#include "kernels/reduce_cpu.h"
#include "kernels/update_math.h"

namespace ps::kernels::PS_ISA {

// Numbers at any byte address, as they may lie in a message.
using PackedWord __attribute__((aligned(1), may_alias)) = std::uint32_t;

// What decoding does with value x.
template <bool kAdd>
PS_HOST_DEVICE void put(PackedFloat& value, float weight, float x) {
  value = kAdd ? add_weighted(value, weight, x) : weight * x;
}

void encode_top(const EncodePass& pass);
CodecError decode_top(const DecodePass& pass);

}  // namespace ps::kernels::PS_ISA
