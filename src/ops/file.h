// Files by descriptor: whole reads and writes, and replacing a file at once. Errors are
// ps::Error(kIo) with the path and the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ps::ops {

class InputFile {
 public:
  explicit InputFile(const std::string& path);  // a regular file
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  // The next bytes of it. The end of the file is an error.
  void read(std::span<std::byte> bytes);

 private:
  std::string path_;
  int fd_;
  std::uint64_t size_ = 0;
};

// Writes a temporary file beside `path`; commit() puts it in the place of `path` once it is on the
// disk. Without commit() it is gone.
class ReplacementFile {
 public:
  explicit ReplacementFile(std::string path);
  ~ReplacementFile();
  ReplacementFile(const ReplacementFile&) = delete;
  ReplacementFile& operator=(const ReplacementFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void commit();

 private:
  std::string path_;
  std::string temporary_;
  int fd_ = -1;
  bool committed_ = false;
};

}  // namespace ps::ops
