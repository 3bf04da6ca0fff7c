// Hands out blocks of samples, so that workers of different speed read each sample of an epoch
// once. A dead worker's block goes back; a restarted one starts over.
//
// Invariants
// 1. Every position of every epoch is in exactly one of: handed out and held, handed out and given
// back by asking for
//    the next one, returned by a death, not handed out yet.
// 2. A worker holds at most one block. Asking again with the same index, or an older one, gives
// the same block.
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "wire/control.h"

namespace ps::cluster {

class LeaseBook {
 public:
  // REQUIRES: a request with dataset_size, block and epochs > 0 (the scheduler has checked).
  explicit LeaseBook(const wire::LeaseRequest& request);

  // True when `request` describes the same samples.
  [[nodiscard]] bool matches(const wire::LeaseRequest& request) const;

  // The grant for `request`; asking for a new index means that the block before has been consumed.
  wire::LeaseGrant grant(std::uint32_t rank, const wire::LeaseRequest& request);

  // The worker died: its block is handed out again.
  void release(std::uint32_t rank);

 private:
  std::uint64_t dataset_size_;
  std::uint64_t block_;
  std::uint64_t epochs_;
  std::uint64_t epoch_ = 0;
  std::uint64_t position_ = 0;
  std::map<std::uint32_t, wire::LeaseGrant> held_;
  std::deque<wire::LeaseGrant> returned_;
};

}  // namespace ps::cluster
