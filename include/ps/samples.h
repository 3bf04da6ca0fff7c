// Which samples this worker reads next.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace ps {

struct SampleOptions {
  std::uint32_t global_batch =
      0;  // samples of one step over all workers together; >= the number of workers
  std::uint32_t epochs = 1;
  std::uint32_t first_epoch =
      0;  // numbers the epochs of this loop: its permutations are those of first_epoch, ...
  bool shuffle = true;
  // Sync and local: steps of the first epoch that have been taken before (by the run that this one
  // goes on with); Batch::step counts them. Else 0.
  std::uint64_t first_step = 0;
};

// Sample numbers in [0, dataset_size).
struct Batch {
  std::vector<std::uint32_t> indices;
  std::uint32_t epoch = 0;
  std::uint64_t step = 0;  // of this worker in this loop, from 0
  std::uint64_t steps =
      0;  // sync: how many this loop has; async and ssp: about how many for this worker
  [[nodiscard]] std::size_t size() const noexcept { return indices.size(); }
};

// A range of batches: `for (const Batch& batch : session.samples(...))`, or next() until it gives
// nothing.
class Samples {
 public:
  // The next batch, or nothing at the end. Async and ssp: may wait for the scheduler; throws its
  // Error. May be called from one thread other than the session's (a loader that reads ahead).
  std::optional<Batch> next();

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    using pointer = const Batch*;
    using reference = const Batch&;
    Iterator() = default;
    explicit Iterator(Samples* samples) : samples_(samples), batch_(samples->next()) {}
    reference operator*() const { return *batch_; }
    pointer operator->() const { return &*batch_; }
    Iterator& operator++() {
      batch_ = samples_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t /*end*/) const { return !batch_; }

   private:
    Samples* samples_ = nullptr;
    std::optional<Batch> batch_;
  };
  Iterator begin() { return Iterator(this); }
  static std::default_sentinel_t end() { return {}; }

  class Impl;
  explicit Samples(std::unique_ptr<Impl> impl) noexcept;  // ps's own
  Samples(Samples&&) noexcept;
  Samples& operator=(Samples&&) noexcept;
  ~Samples();

 private:
  std::unique_ptr<Impl> impl_;
};

// The order of an epoch: a permutation of [0, size) that depends on (seed, epoch) alone.
// Fisher-Yates over Philox.
std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::uint32_t epoch, std::uint32_t size);

}  // namespace ps
