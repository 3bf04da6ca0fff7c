// Reads the IDX format of MNIST and Fashion-MNIST (big-endian; plain or gzip-compressed): tensors
// of unsigned bytes. What the numbers mean is the caller's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ps::vision {

struct Idx {
  std::vector<std::uint32_t> shape;
  std::vector<std::uint8_t> values;  // row-major, as many as the shape's product
};

// The whole file, which may say anything: no more memory is taken than it has values for, and 256
// MiB at most. Throws Error naming the file: kIo when it cannot be read; kCorrupt when it is not
// IDX of bytes, is damaged, or has other than the values of its header.
Idx read_idx(const std::string& path);

}  // namespace ps::vision
