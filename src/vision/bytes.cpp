// Reads by pread, so that a file that shrinks meanwhile ends early and nothing worse.
#include "vision/bytes.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ps/error.h>

namespace ps::vision {
namespace {

[[noreturn]] void throw_io(const std::string& what, const std::string& path) {
  throw Error(ErrorCode::kIo, path + ": cannot be " + what + ": " + std::strerror(errno));
}

// As many bytes as there are, up to bytes.size().
std::size_t read_at(int file, std::uint64_t offset, std::span<std::uint8_t> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        pread(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

bool write_all(int file, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

std::vector<std::uint8_t> read_file(const std::string& path, std::uint64_t max_bytes) {
  FileBytes file(path);
  if (file.size() > max_bytes) {
    throw Error(ErrorCode::kCorrupt, path + ": expected at most " + std::to_string(max_bytes) +
                                         " bytes, the file has " + std::to_string(file.size()));
  }
  std::vector<std::uint8_t> bytes(file.size());
  if (!file.read(0, bytes)) {
    throw Error(ErrorCode::kIo, path + ": cannot be read: it changed or failed meanwhile");
  }
  return bytes;
}

bool replace_file(const std::string& path, std::span<const std::uint8_t> bytes) {
  std::string temporary = path + ".XXXXXX";
  const int file = mkostemp(temporary.data(), O_CLOEXEC);
  if (file < 0) return false;
  // mkostemp makes it private; others who read the data set may read this too.
  bool good = fchmod(file, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH) == 0 && write_all(file, bytes);
  good = close(file) == 0 && good;
  good = good && rename(temporary.c_str(), path.c_str()) == 0;
  if (!good) unlink(temporary.c_str());
  return good;
}

bool MemoryBytes::read(std::uint64_t offset, std::span<std::uint8_t> bytes) {
  if (offset > bytes_.size() || bytes.size() > bytes_.size() - offset) return false;
  std::copy_n(bytes_.data() + offset, bytes.size(), bytes.data());
  return true;
}

FileBytes::FileBytes(const std::string& path) : path_(path) {
  file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file_ < 0) throw_io("opened", path);
  struct stat status {};
  const bool known = fstat(file_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    const int reason = known ? (S_ISDIR(status.st_mode) ? EISDIR : EINVAL) : errno;
    close(file_);
    errno = reason;
    throw_io("read", path);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

FileBytes::~FileBytes() {
  close(file_);
}

bool FileBytes::read(std::uint64_t offset, std::span<std::uint8_t> bytes) {
  if (offset > size_ || bytes.size() > size_ - offset) return false;
  if (bytes.size() > window_.size()) return read_at(file_, offset, bytes) == bytes.size();
  if (offset < window_begin_ || offset + bytes.size() > window_begin_ + window_size_) {
    window_begin_ = offset;
    window_size_ = read_at(file_, offset, window_);
    if (window_size_ < bytes.size()) return false;
  }
  std::copy_n(window_.data() + (offset - window_begin_), bytes.size(), bytes.data());
  return true;
}

}  // namespace ps::vision
