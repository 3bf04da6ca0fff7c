// Memory that is used again. A block that the pool handed out comes back by itself when the last
// Memory or Buffer that shares it is gone, on whatever thread that happens: coming back is one
// atomic store. acquire() belongs to one thread. A step that is like the one before it therefore
// touches no new page.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "base/buffer.h"

namespace ps {

class BlockPool {
 public:
  explicit BlockPool(AllocateMemory source = &Memory::allocate) : arena_(source) {}

  // At least one byte; contents are what the last user left. Blocks are made as needed and never
  // given up.
  Memory acquire(std::size_t bytes);
  // How many blocks exist, in use or not.
  [[nodiscard]] std::size_t blocks() const noexcept { return count_; }

 private:
  struct Block {
    Memory memory;
    std::atomic<bool> in_use{false};
  };
  struct Class {
    std::vector<std::shared_ptr<Block>> blocks;
    std::size_t next = 0;  // where the search for a free one starts
  };

  Arena arena_;
  std::map<std::size_t, Class> classes_;  // by size, rounded up
  std::size_t count_ = 0;
};

}  // namespace ps
