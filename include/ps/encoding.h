// How one parameter's gradient travels where a model compresses (ModelOptions::compression): for
// programs that encode it themselves, on the GPU that has it, say. What the bytes mean:
// docs/protocol.md.
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
