#include "ops/file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <ps/error.h>

namespace ps::ops {
namespace {

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  const int reason = errno;
  throw Error(ErrorCode::kIo,
              "cannot " + what + ' ' + path + ": " + std::generic_category().message(reason));
}

// So many that none of an earlier process or of another thread is in the way.
int open_new(const std::string& path, std::string& temporary) {
  for (int attempt = 0; attempt < 10000; ++attempt) {
    temporary = path + ".tmp." + std::to_string(getpid()) + '.' + std::to_string(attempt);
    const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

void sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail("open the directory", directory);
  const int result = fsync(fd);
  const int reason = errno;
  close(fd);
  errno = reason;
  if (result != 0) fail("sync the directory", directory);
}

}  // namespace

InputFile::InputFile(const std::string& path)
    // Not blocking: a FIFO of that name would keep open() for ever.
    : path_(path), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (fd_ < 0) fail("open", path_);
  struct stat status {};
  const bool known = fstat(fd_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    const int reason = known ? EINVAL : errno;
    close(fd_);
    errno = reason;
    fail(known ? "read, as it is not a regular file," : "look at", path_);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  close(fd_);
}

void InputFile::read(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::read(fd_, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("read", path_);
    if (got == 0) {
      throw Error(ErrorCode::kIo, "cannot read " + path_ + ": it ends " +
                                      std::to_string(bytes.size()) +
                                      " bytes early (is it being written?)");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

ReplacementFile::ReplacementFile(std::string path) : path_(std::move(path)) {
  fd_ = open_new(path_, temporary_);
  if (fd_ < 0) fail("create", temporary_);
}

ReplacementFile::~ReplacementFile() {
  if (fd_ >= 0) close(fd_);
  if (!committed_) unlink(temporary_.c_str());
}

void ReplacementFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail("write", temporary_);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void ReplacementFile::commit() {
  if (fsync(fd_) != 0) fail("sync", temporary_);
  const int result = close(fd_);
  fd_ = -1;
  if (result != 0) fail("close", temporary_);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) fail("replace", path_);
  committed_ = true;
  sync_directory_of(path_);
}

}  // namespace ps::ops
