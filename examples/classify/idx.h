// Reads the IDX format of MNIST and Fashion-MNIST (big-endian; plain or gzip-compressed): tensors
// of unsigned bytes. What the numbers mean is dataset.h's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace classify {

struct Idx {
  std::vector<std::uint32_t> shape;
  std::vector<std::uint8_t> values;  // row-major, as many as the shape's product
};

// Reads the whole file. A file may say anything: no more memory is taken than it has values for,
// and 1 GiB at most.
// Throws ps::Error naming the file: kIo when it cannot be read, kCorrupt when it is not an IDX file
// of bytes, is damaged, or holds fewer or more values than its header says.
Idx read_idx(const std::string& path);

}  // namespace classify
