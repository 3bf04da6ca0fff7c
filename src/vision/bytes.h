// Random reads of a file's bytes, in memory or on disk, for code that looks at headers and must
// never read beyond the end. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ps::vision {

// Throws Error{kIo} naming the file; also when it is no regular file. Error{kCorrupt} when it has
// more than `max_bytes`.
std::vector<std::uint8_t> read_file(const std::string& path, std::uint64_t max_bytes);

// Writes a temporary file beside `path`, then puts it in its place: nobody sees half of it. False
// (and no temporary left) when that cannot be done.
bool replace_file(const std::string& path, std::span<const std::uint8_t> bytes);

class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  virtual ~Bytes() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  // Fills `bytes` from `offset`; false when the file ends before.
  virtual bool read(std::uint64_t offset, std::span<std::uint8_t> bytes) = 0;
};

class MemoryBytes final : public Bytes {
 public:
  explicit MemoryBytes(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }
  bool read(std::uint64_t offset, std::span<std::uint8_t> bytes) override;

 private:
  std::span<const std::uint8_t> bytes_;
};

// Reads through a window, so that a walk over small fields costs few system calls.
class FileBytes final : public Bytes {
 public:
  explicit FileBytes(const std::string& path);  // throws as read_file
  ~FileBytes() override;
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  bool read(std::uint64_t offset, std::span<std::uint8_t> bytes) override;

 private:
  std::string path_;
  int file_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t window_begin_ = 0;
  std::size_t window_size_ = 0;
  std::array<std::uint8_t, 16384> window_{};
};

}  // namespace ps::vision
