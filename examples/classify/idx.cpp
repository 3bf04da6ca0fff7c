// IDX: two zero bytes, the element type, the number of dimensions, each dimension as a big-endian
// u32, then the values. zlib passes through what is not compressed.
#include "idx.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>
#include <zlib.h>

#include <ps/error.h>

namespace classify {
namespace {

constexpr std::uint8_t kUnsignedByte = 0x08;
constexpr std::size_t kMaxDimensions = 4;
constexpr std::uint64_t kMaxValues = std::uint64_t{1} << 30;
constexpr std::size_t kBlockBytes = std::size_t{4} << 20;

class Input {
 public:
  explicit Input(const std::string& path) : path_(path) {
    errno = 0;
    file_.reset(gzopen(path.c_str(), "rb"));
    if (!file_) {
      const std::string reason = errno != 0 ? std::strerror(errno) : "out of memory";
      throw ps::Error(ps::ErrorCode::kIo, "cannot open " + path + ": " + reason);
    }
    gzbuffer(file_.get(), 1U << 17);
  }

  // Up to `size` bytes; fewer only at the end of the file.
  std::size_t read(std::uint8_t* bytes, std::size_t size) {
    errno = 0;
    const int count = gzread(file_.get(), bytes, static_cast<unsigned>(size));
    int code = Z_OK;
    const char* reason = gzerror(file_.get(), &code);
    if (code == Z_ERRNO) {
      throw ps::Error(ps::ErrorCode::kIo, "cannot read " + path_ + ": " + std::strerror(errno));
    }
    if (code == Z_BUF_ERROR) corrupt("the compressed data ends too early: the file is truncated");
    if (count < 0 || code != Z_OK)
      corrupt(std::string("the compressed data is damaged: ") + reason);
    return static_cast<std::size_t>(count);
  }

  [[noreturn]] void corrupt(const std::string& what) const {
    throw ps::Error(ps::ErrorCode::kCorrupt, path_ + ": " + what);
  }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  const std::string& path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

std::vector<std::uint32_t> read_shape(Input& input) {
  std::array<std::uint8_t, 4> word{};
  if (input.read(word.data(), word.size()) != word.size()) {
    input.corrupt("shorter than the header of an IDX file");
  }
  if (word[0] != 0 || word[1] != 0)
    input.corrupt("not an IDX file (it begins with two zero bytes)");
  if (word[2] != kUnsignedByte) {
    input.corrupt("expected elements of type 8 (unsigned byte), got type " +
                  std::to_string(word[2]));
  }
  const std::size_t dimensions = word[3];
  if (dimensions == 0 || dimensions > kMaxDimensions) {
    input.corrupt("expected 1 to " + std::to_string(kMaxDimensions) + " dimensions, got " +
                  std::to_string(dimensions));
  }
  std::vector<std::uint32_t> shape;
  for (std::size_t i = 0; i < dimensions; ++i) {
    if (input.read(word.data(), word.size()) != word.size()) {
      input.corrupt("the header ends before its dimensions do");
    }
    shape.push_back(std::uint32_t{word[0]} << 24U | std::uint32_t{word[1]} << 16U |
                    std::uint32_t{word[2]} << 8U | word[3]);
  }
  return shape;
}

// The shape's product, unless it is beyond kMaxValues.
std::uint64_t count_values(const Input& input, const std::vector<std::uint32_t>& shape) {
  std::uint64_t count = 1;
  for (const std::uint32_t dimension : shape) {
    if (dimension == 0) input.corrupt("a dimension is 0");
    count *= dimension;  // below 2^30 times below 2^32
    if (count > kMaxValues) input.corrupt("the header asks for more than 2^30 values");
  }
  return count;
}

}  // namespace

Idx read_idx(const std::string& path) {
  Input input(path);
  Idx idx;
  idx.shape = read_shape(input);
  const std::uint64_t count = count_values(input, idx.shape);
  while (idx.values.size() < count) {
    const std::size_t have = idx.values.size();
    idx.values.resize(have + std::min<std::uint64_t>(kBlockBytes, count - have));
    const std::size_t wanted = idx.values.size() - have;
    const std::size_t got = input.read(idx.values.data() + have, wanted);
    if (got != wanted) {
      input.corrupt("truncated: the header says " + std::to_string(count) + " values, there are " +
                    std::to_string(have + got));
    }
  }
  std::uint8_t more = 0;
  if (input.read(&more, 1) != 0) {
    input.corrupt("more bytes follow the " + std::to_string(count) + " values of the header");
  }
  return idx;
}

}  // namespace classify
