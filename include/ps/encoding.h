// How one parameter's gradient travels where a model compresses (ModelOptions::compression): for
// programs that encode it themselves, on the GPU that has it, say. What the bytes mean:
// docs/protocol.md.
//
//   Parameter::encoding()  how it leaves, after Model::start(); the first call of any parameter
//                          blocks. Without pieces it cannot come encoded: it is not compressed, or
//                          the worker clips it.
//   Parameter::encoded()   memory for the bytes, ps's own: encoding().bytes, zeroed when made, side
//                          by side with other parameters'. They must not change from push_pull()
//                          until wait() returns.
//   Parameter::push_pull(bytes)
//                          in the place of push_pull(): these leave, whatever is in gradients();
//                          from encoded() if they lie there, else they are copied. Throws
//                          Error(kInvalidArgument) unless they are encoding().bytes, and in a step
//                          with gradients that accumulate() has put aside.
//   Model::step_number()   by which kInt8Stochastic rounds. Blocks for a moment. Throws
//                          Error(kInvalidArgument) outside a step.
//
// What error feedback keeps is whose who encodes: a parameter shall always come encoded, or never.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ps/compression.h>

namespace ps {

// Some of a gradient's values in a row, and where their bytes belong in what is handed over.
struct EncodedPiece {
  std::uint64_t first = 0;  // value
  std::uint32_t count = 0;
  Compression::Push codec = Compression::Push::kNone;  // kNone: as they are, fp32
  std::size_t at = 0;                                  // a multiple of kEncodedAlignment
  std::size_t bytes = 0;                               // kTopK: 8 for each value that is sent
};

inline constexpr std::size_t kEncodedAlignment = 64;

struct Encoding {
  std::vector<EncodedPiece> pieces;  // all values, in order; none: it travels as it is
  std::size_t bytes = 0;             // of all pieces, with what lies between: a multiple, too
  std::uint64_t source = 0;          // this worker and parameter, for rounding at random
};

}  // namespace ps
