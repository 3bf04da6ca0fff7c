#include "cluster/leases.h"

#include <algorithm>

namespace ps::cluster {

LeaseBook::LeaseBook(const wire::LeaseRequest& request)
    : dataset_size_(request.dataset_size), block_(request.block), epochs_(request.epochs) {}

bool LeaseBook::matches(const wire::LeaseRequest& request) const {
  return request.dataset_size == dataset_size_ && request.block == block_ &&
         request.epochs == epochs_;
}

wire::LeaseGrant LeaseBook::grant(std::uint32_t rank, const wire::LeaseRequest& request) {
  // An older index is an echo of a request that was answered.
  if (const auto held = held_.find(rank);
      held != held_.end() && request.index <= held->second.index) {
    return held->second;
  }
  wire::LeaseGrant grant{.index = request.index};
  if (!returned_.empty()) {
    grant = returned_.front();
    grant.index = request.index;
    returned_.pop_front();
  } else if (epoch_ < epochs_) {
    grant.epoch = epoch_;
    grant.begin = position_;
    grant.end = std::min(position_ + block_, dataset_size_);
    position_ = grant.end;
    if (position_ == dataset_size_) {
      position_ = 0;
      ++epoch_;
    }
  } else {
    grant.done = true;
  }
  held_[rank] = grant;
  return grant;
}

void LeaseBook::release(std::uint32_t rank) {
  const auto held = held_.find(rank);
  if (held == held_.end()) return;
  if (!held->second.done) returned_.push_back(held->second);
  held_.erase(held);
}

}  // namespace ps::cluster
