#include "base/buffer.h"

#include <cstring>
#include <new>

namespace ps {
namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

Memory Memory::allocate(std::size_t bytes) {
  if (bytes == 0) return {};
  auto* data = static_cast<std::byte*>(::operator new(bytes, kAlignment));
  std::memset(data, 0, bytes);
  std::shared_ptr<void> owner(data, [](void* pointer) { ::operator delete(pointer, kAlignment); });
  return {std::move(owner), {data, bytes}};
}

Buffer Buffer::copy_of(std::span<const std::byte> bytes) {
  const Memory memory = Memory::allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(memory.bytes().data(), bytes.data(), bytes.size());
  return memory.buffer();
}

}  // namespace ps
