// Named float32 tensors in a file of the safetensors format
// (https://huggingface.co/docs/safetensors), which Python reads and writes with the package of that
// name. Other element types are refused.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ps {

// A tensor to save. `values`: row-major, as many as the shape's product (1 for an empty shape, a
// scalar); the caller's memory, needed only during the call.
struct NamedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::span<const float> values;
};

// Writes `path`: whole and on the disk when it returns, unchanged when it throws (a temporary file
// in the same directory takes its place). Tensors lie in the file by name. Any thread; two calls
// for one path leave one of the two files.
// Throws ps::Error: kInvalidArgument for a name that comes twice, is not UTF-8 or is
// "__metadata__", a negative dimension, or values that do not fit the shape; kIo with the system's
// reason.
void save_safetensors(const std::string& path,
                      std::span<const NamedTensor> tensors,
                      const std::map<std::string, std::string>& metadata = {});

// What a file held; owns its values.
struct SafetensorsFile {
  struct Tensor {
    std::string name;
    std::vector<std::int64_t> shape;
    std::vector<float> values;  // row-major
  };
  std::vector<Tensor> tensors;  // by name
  std::map<std::string, std::string> metadata;

  // Null when there is none of that name. Valid until `tensors` changes.
  [[nodiscard]] const Tensor* find(std::string_view name) const noexcept;

  // save_safetensors() of all of it.
  void save(const std::string& path) const;
};

// Reads the whole file. A file may say anything: it is checked before memory is allocated for what
// it promises (at most 100 MB of header, 65,536 tensors of 32 dimensions).
// Throws ps::Error: kIo when it cannot be read, kCorrupt when it is not a safetensors file (header,
// offsets with gaps or overlaps, sizes that do not fit), kInvalidArgument naming the tensor and its
// type when that is not F32.
SafetensorsFile load_safetensors(const std::string& path);

}  // namespace ps
