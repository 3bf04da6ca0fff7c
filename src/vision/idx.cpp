// IDX: two zero bytes, the element type, the number of dimensions, each dimension as a big-endian
// u32, then the values. zlib passes through what is not compressed.
#include "vision/idx.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <zlib.h>

#include <ps/error.h>

namespace ps::vision {
namespace {

constexpr std::uint8_t kUnsignedByte = 0x08;
constexpr std::size_t kMaxDimensions = 4;
constexpr std::uint64_t kMaxValues = std::uint64_t{1} << 28;
constexpr std::size_t kBlockBytes = std::size_t{4} << 20;

struct Close {
  void operator()(gzFile_s* file) const { gzclose(file); }
};

class Input {
 public:
  explicit Input(const std::string& path) : path_(path), file_(gzopen(path.c_str(), "rbe")) {
    if (!file_) {
      throw Error(ErrorCode::kIo, "cannot open " + path + ": " + std::strerror(errno));
    }
    gzbuffer(file_.get(), 1U << 17U);
  }

  // Up to `size` bytes, fewer only at the end of the file.
  std::size_t read(std::uint8_t* bytes, std::size_t size) {
    const int count = gzread(file_.get(), bytes, static_cast<unsigned>(size));
    int code = Z_OK;
    const char* reason = gzerror(file_.get(), &code);
    if (code == Z_ERRNO) {
      throw Error(ErrorCode::kIo, "cannot read " + path_ + ": " + std::strerror(errno));
    }
    if (code == Z_BUF_ERROR) corrupt("the compressed data end too early");
    if (code != Z_OK || count < 0) {
      corrupt(std::string("the compressed data are damaged: ") + reason);
    }
    return static_cast<std::size_t>(count);
  }

  [[noreturn]] void corrupt(const std::string& why) const {
    throw Error(ErrorCode::kCorrupt, path_ + ": " + why);
  }

 private:
  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

std::vector<std::uint32_t> read_shape(Input& input) {
  std::array<std::uint8_t, 4> word{};
  const auto next = [&] {
    if (input.read(word.data(), word.size()) != word.size()) {
      input.corrupt("the file ends inside its header");
    }
  };
  next();
  if (word[0] != 0 || word[1] != 0 || word[2] != kUnsignedByte) {
    input.corrupt("expected an IDX file of bytes, which begins with 0 0 8");
  }
  const std::size_t dimensions = word[3];
  if (dimensions == 0 || dimensions > kMaxDimensions) {
    input.corrupt("expected 1 to 4 dimensions, got " + std::to_string(dimensions));
  }
  std::vector<std::uint32_t> shape(dimensions);
  for (std::uint32_t& size : shape) {
    next();
    size = std::uint32_t{word[0]} << 24U | std::uint32_t{word[1]} << 16U |
           std::uint32_t{word[2]} << 8U | word[3];
  }
  return shape;
}

}  // namespace

Idx read_idx(const std::string& path) {
  Input input(path);
  Idx idx;
  idx.shape = read_shape(input);
  std::uint64_t count = 1;
  for (const std::uint32_t size : idx.shape) {
    count *= size;  // at most 2^28 times below 2^32
    if (count == 0 || count > kMaxValues) {
      input.corrupt("the header asks for none or too many values");
    }
  }
  while (idx.values.size() < count) {
    const std::size_t have = idx.values.size();
    idx.values.resize(have + std::min<std::uint64_t>(kBlockBytes, count - have));
    const std::size_t wanted = idx.values.size() - have;
    if (input.read(idx.values.data() + have, wanted) != wanted) {
      input.corrupt("expected " + std::to_string(count) + " values, the file ends before");
    }
  }
  std::uint8_t more = 0;
  if (input.read(&more, 1) != 0) {
    input.corrupt("more bytes follow the " + std::to_string(count) + " values of the header");
  }
  return idx;
}

}  // namespace ps::vision
