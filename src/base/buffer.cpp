#include "base/buffer.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace ps {
namespace {

constexpr std::align_val_t kAlignment{64};
// An arena's blocks: the first, and how far they double.
constexpr std::size_t kFirstBlock = std::size_t{256} << 10;
constexpr std::size_t kLargestBlock = std::size_t{16} << 20;

}  // namespace

Memory Memory::allocate(std::size_t bytes) {
  if (bytes == 0) return {};
  auto* data = static_cast<std::byte*>(::operator new(bytes, kAlignment));
  std::memset(data, 0, bytes);
  std::shared_ptr<void> owner(data, [](void* pointer) { ::operator delete(pointer, kAlignment); });
  return {std::move(owner), {data, bytes}};
}

Memory Arena::allocate(std::size_t bytes) {
  constexpr std::size_t kAlign = 64;
  if (bytes == 0) return {};
  if (block_.size() - used_ < bytes) {
    const std::size_t usual = std::clamp(2 * block_.size(), kFirstBlock, kLargestBlock);
    block_ = source_(std::max(bytes, usual));
    used_ = 0;
  }
  const Memory result = block_.slice(used_, bytes);
  used_ = std::min(block_.size(), used_ + (bytes + kAlign - 1) / kAlign * kAlign);
  return result;
}

Buffer Buffer::copy_of(std::span<const std::byte> bytes) {
  const Memory memory = Memory::allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(memory.bytes().data(), bytes.data(), bytes.size());
  return memory.buffer();
}

}  // namespace ps
