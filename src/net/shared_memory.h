// Memory behind a descriptor that other processes can map: a peer on the same host reads it where
// it lies instead of getting a copy (net/shm_channel.h).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "base/buffer.h"
#include "net/descriptor.h"

namespace ps::net {

// It can never change its size, so no peer can turn a later access into SIGBUS.
class SharedMapping {
 public:
  enum class Access { kRead, kWrite };

  // Zeroed, touched, writable. Null: the system refused.
  static std::shared_ptr<SharedMapping> create(std::size_t bytes);
  // Null when `fd` is not such memory or is smaller than `bytes`.
  static std::shared_ptr<SharedMapping> map(Descriptor fd, std::size_t bytes, Access access);
  ~SharedMapping();
  SharedMapping(const SharedMapping&) = delete;
  SharedMapping& operator=(const SharedMapping&) = delete;

  // Not to be written to if it was mapped for reading.
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  SharedMapping(Descriptor fd, std::span<std::byte> bytes) : fd_(std::move(fd)), bytes_(bytes) {}
  Descriptor fd_;
  std::span<std::byte> bytes_;
};

// Memory that can be sent to another process without a copy; where the system has no descriptor or
// no such memory left, ordinary memory. Any thread.
Memory allocate_shared(std::size_t bytes);

struct SharedPlace {
  std::shared_ptr<SharedMapping> mapping;
  std::size_t offset = 0;
};
// Where in such memory `bytes` lie; nothing if they do not. Any thread.
std::optional<SharedPlace> find_shared(std::span<const std::byte> bytes);

}  // namespace ps::net
