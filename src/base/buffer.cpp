#include "base/buffer.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <sys/mman.h>

namespace ps {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr std::align_val_t kHugePage{std::size_t{2} << 20};
// An arena's blocks: the first, and how far they double.
constexpr std::size_t kFirstBlock = std::size_t{256} << 10;
constexpr std::size_t kLargestBlock = std::size_t{16} << 20;

}  // namespace

Memory Memory::allocate(std::size_t bytes) {
  if (bytes == 0) return {};
  // Large blocks in huge pages where the system has them: they are touched in a fiftieth of the
  // time, and a pass over many blocks at once waits less for their addresses.
  const bool large = bytes >= 2 * static_cast<std::size_t>(kHugePage);
  const std::align_val_t alignment = large ? kHugePage : kAlignment;
  auto* data = static_cast<std::byte*>(::operator new(bytes, alignment));
  if (large) ::madvise(data, bytes, MADV_HUGEPAGE);
  std::memset(data, 0, bytes);
  std::shared_ptr<void> owner(data,
                              [alignment](void* start) { ::operator delete(start, alignment); });
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
