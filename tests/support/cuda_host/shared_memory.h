// A block's shared memory, filled with the poison before each block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace cuda_host {

// What __shared__ declares anywhere in the program. To fill all of it before each block would take
// longer than most blocks do: it is clean between launches, and within one only those lines are
// filled anew that this kernel has been seen to write. All of it is searched for others after the
// blocks 0, 1, 2, 4, 8, ... and the last.
class StaticShared {
 public:
  StaticShared();
  void set_pattern(unsigned char pattern);
  void begin(const void* kernel);
  void block_done(std::uint64_t block, std::uint64_t blocks);

 private:
  struct Line {
    std::byte* at;
    std::size_t bytes;
  };
  void fill(const Line& line) const;
  [[nodiscard]] bool is_clean(const Line& line) const;

  std::vector<Line> lines_;
  unsigned char pattern_ = 0xFF;
  bool clean_ = false;
  std::map<const void*, std::vector<std::size_t>> written_;  // indices of lines, by kernel
  std::vector<std::size_t>* of_kernel_ = nullptr;
};

}  // namespace cuda_host
