#include "base/block_pool.h"

namespace ps {
namespace {

constexpr std::size_t kGranule = 4096;

}  // namespace

Memory BlockPool::acquire(std::size_t bytes) {
  const std::size_t rounded = (bytes + kGranule - 1) / kGranule * kGranule;
  Class& same_size = classes_[rounded == 0 ? kGranule : rounded];
  std::shared_ptr<Block> block;
  for (std::size_t i = 0; i < same_size.blocks.size() && !block; ++i) {
    const std::size_t at = (same_size.next + i) % same_size.blocks.size();
    // Acquire: what its last user did with the bytes happened before we write them.
    if (same_size.blocks[at]->in_use.load(std::memory_order_acquire)) continue;
    block = same_size.blocks[at];
    same_size.next = at + 1;
  }
  if (!block) {
    block = std::make_shared<Block>();
    block->memory = arena_.allocate(rounded == 0 ? kGranule : rounded);
    same_size.blocks.push_back(block);
    ++count_;
  }
  block->in_use.store(true, std::memory_order_relaxed);
  const auto view = block->memory.bytes().first(bytes);
  // The owner keeps the block alive even when the pool has gone.
  std::shared_ptr<void> owner(block.get(), [block](void* /*block*/) {
    block->in_use.store(false, std::memory_order_release);
  });
  return {std::move(owner), view};
}

}  // namespace ps
