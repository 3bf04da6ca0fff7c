// Bytes with shared ownership: what travels between a gradient's memory, the wire and a shard
// without a copy. A Buffer is a view plus a reference that keeps the memory alive; it never owns by
// value. Whoever fills the memory does so before the first Buffer that covers it is sent; from then
// on the bytes do not change.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace ps {

class Buffer {
 public:
  Buffer() = default;
  // `owner` keeps `bytes` alive; it may be null for static memory.
  Buffer(std::shared_ptr<const void> owner, std::span<const std::byte> bytes)
      : owner_(std::move(owner)), bytes_(bytes) {}

  // Memory of its own, holding a copy of `bytes`.
  static Buffer copy_of(std::span<const std::byte> bytes);

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] const std::byte* data() const noexcept { return bytes_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  [[nodiscard]] const std::shared_ptr<const void>& owner() const noexcept { return owner_; }

  // A view of part of it, sharing ownership. REQUIRES: offset + count <= size().
  [[nodiscard]] Buffer slice(std::size_t offset, std::size_t count) const {
    return {owner_, bytes_.subspan(offset, count)};
  }

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> bytes_;
};

// Writable memory, 64-byte aligned, zeroed and touched when made (a first touch costs ten copies on
// some hosts). Shared: handing out buffer() views keeps it alive.
class Memory {
 public:
  Memory() = default;
  static Memory allocate(std::size_t bytes);
  // Memory that something else owns (a mapped region, say).
  Memory(std::shared_ptr<void> owner, std::span<std::byte> bytes)
      : owner_(std::move(owner)), bytes_(bytes) {}

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  // REQUIRES: T's alignment <= 64.
  template <class T>
  [[nodiscard]] std::span<T> as() const noexcept {
    return {reinterpret_cast<T*>(bytes_.data()), bytes_.size() / sizeof(T)};
  }
  // A part of it, sharing ownership. REQUIRES: offset + count <= size().
  [[nodiscard]] Memory slice(std::size_t offset, std::size_t count) const {
    return {owner_, bytes_.subspan(offset, count)};
  }
  [[nodiscard]] Buffer buffer() const { return {owner_, bytes_}; }
  [[nodiscard]] Buffer buffer(std::size_t offset, std::size_t count) const {
    return {owner_, bytes_.subspan(offset, count)};
  }
  // How many Memory and Buffer objects share it now. Exact only while no other thread makes or
  // drops one.
  [[nodiscard]] long use_count() const noexcept { return owner_.use_count(); }

 private:
  std::shared_ptr<void> owner_;
  std::span<std::byte> bytes_;
};

// Where blocks of memory come from: Memory::allocate, or one whose memory other processes can map
// (net/shared_memory.h). Zeroed, touched, 64-byte aligned.
using AllocateMemory = Memory (*)(std::size_t bytes);

// Hands out Memory side by side: what is allocated one after another is copied, registered or
// mapped in one piece. Memory that is handed out keeps its whole block alive.
class Arena {
 public:
  explicit Arena(AllocateMemory source = &Memory::allocate) : source_(source) {}
  // 64-byte aligned and zeroed; a multiple of 64 bytes is followed at once by the next one, but for
  // the end of a block.
  Memory allocate(std::size_t bytes);

 private:
  AllocateMemory source_;
  Memory block_;
  std::size_t used_ = 0;
};

}  // namespace ps
