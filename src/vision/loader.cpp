// A ring of batches that threads fill sample by sample.
//
// Invariants, all under mutex_:
// 1. released_ <= taken_ <= drawn_ <= released_ + slots: batch k lives in slot k % slots from its
//    order's coming until it is released, which is when next() is called after the call that gave
//    it.
// 2. A slot's samples are given out once each, oldest batch first; a thread alone works on a
// sample.
// 3. One thread at a time asks the source, and only for a free slot, which it then owns.
// 4. A batch is handed out when all its samples are done; from then on no thread touches its slot.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include <ps/error.h>
#include <ps/vision/loader.h>

#include "vision/canvas.h"
#include "vision/sample_maker.h"

namespace ps::vision {

namespace {

// What a sample adds to its batch besides pixels.
struct Part {
  std::vector<Label> labels;
  std::vector<std::string> faults;
};

struct Slot {
  BatchOrder order;
  DetectionBatch batch;
  std::vector<Part> parts;
  std::size_t given = 0;     // samples that a thread has taken up
  std::size_t done = 0;      // samples finished, well or not
  std::size_t failed = 0;    // the first sample that failed, if error
  std::exception_ptr error;  // its error
};

// A thread's tools.
struct Bench {
  explicit Bench(const Dataset& data) : maker(data) {}
  SampleMaker maker;
  std::vector<float> planes;  // a sample before it is resized
};

std::size_t sample_floats(ImageSize size) {
  return std::size_t{3} * static_cast<std::size_t>(size.height) *
         static_cast<std::size_t>(size.width);
}

void check_order(const BatchOrder& order) {
  check(order.augmentation);
  require_size(order.size, "a batch's samples");
  if (order.scaled != ImageSize{}) require_size(order.scaled, "a batch's resized samples");
  if (order.indices.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "a batch of no samples was ordered (epoch " + std::to_string(order.epoch) +
                    ", step " + std::to_string(order.step) + "); end with no order instead");
  }
}

// Makes the slot ready for its order's samples.
void lay_out(BatchOrder&& order, Slot& slot) {
  check_order(order);
  slot.order = std::move(order);
  const std::size_t n = slot.order.indices.size();
  slot.given = slot.done = 0;
  slot.error = nullptr;
  slot.parts.resize(n);
  DetectionBatch& batch = slot.batch;
  batch.size = slot.order.scaled != ImageSize{} ? slot.order.scaled : slot.order.size;
  batch.images.resize(n * sample_floats(batch.size));
  batch.frames.resize(n);
  batch.targets.clear();
  batch.faults.clear();
  batch.indices = slot.order.indices;
  batch.epoch = slot.order.epoch;
  batch.step = slot.order.step;
}

// Gathers what the samples brought, in their order.
void finish(Slot& slot) {
  for (std::size_t i = 0; i < slot.parts.size(); ++i) {
    for (const Label& label : slot.parts[i].labels) {
      slot.batch.targets.push_back({static_cast<std::int32_t>(i), label.category, label.x, label.y,
                                    label.width, label.height});
    }
    auto& faults = slot.parts[i].faults;
    std::move(faults.begin(), faults.end(), std::back_inserter(slot.batch.faults));
  }
}

}  // namespace

class BatchLoader::Impl {
 public:
  Impl(const Dataset& data, const LoaderOptions& options, Source source)
      : data_(data),
        seed_(options.seed),
        source_(std::move(source)),
        slots_(static_cast<std::size_t>(options.ahead) + 1) {
    if (options.workers == 0) own_bench_ = std::make_unique<Bench>(data_);
    threads_.reserve(static_cast<std::size_t>(options.workers));
    for (int i = 0; i < options.workers; ++i) {
      threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
    }
  }

  ~Impl() {
    for (std::jthread& thread : threads_) thread.request_stop();
    changed_.notify_all();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const DetectionBatch* next() {
    const auto begin = std::chrono::steady_clock::now();
    const DetectionBatch* batch = nullptr;
    std::exception_ptr error;
    try {
      batch = take();
    } catch (...) {
      error = std::current_exception();
    }
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (error) std::rethrow_exception(error);
    return batch;
  }

  [[nodiscard]] double seconds() const { return seconds_; }
  [[nodiscard]] std::uint64_t replaced() const { return replaced_; }

 private:
  const DetectionBatch* take() {
    if (failure_) std::rethrow_exception(failure_);
    std::unique_lock lock(mutex_);
    released_ = taken_;
    changed_.notify_all();
    if (own_bench_) {
      while (!may_take() && work(lock, *own_bench_)) {
      }
    } else {
      changed_.wait(lock, [this] { return may_take(); });
    }
    if (taken_ == drawn_) {
      failure_ = source_error_;
    } else {
      failure_ = slot(taken_).error;
    }
    if (failure_) std::rethrow_exception(failure_);
    if (taken_ == drawn_) return nullptr;
    Slot& ready = slot(taken_);
    ++taken_;
    lock.unlock();
    finish(ready);
    replaced_ += ready.batch.faults.size();
    return &ready.batch;
  }

  [[nodiscard]] bool may_take() {
    if (taken_ == drawn_) return ended_;
    const Slot& first = slot(taken_);
    return first.done == first.order.indices.size();
  }

  Slot& slot(std::uint64_t batch) {
    return slots_[static_cast<std::size_t>(batch % slots_.size())];
  }

  void run(const std::stop_token& stop) {
    Bench bench(data_);
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      if (!work(lock, bench)) changed_.wait(lock, stop, [this] { return has_work(); });
    }
  }

  // The oldest batch with samples to give; drawn_ if none has any.
  std::uint64_t oldest_open() {
    std::uint64_t batch = taken_;
    while (batch < drawn_ && slot(batch).given == slot(batch).order.indices.size()) ++batch;
    return batch;
  }

  bool may_draw() { return !ended_ && !drawing_ && drawn_ - released_ < slots_.size(); }
  bool has_work() { return oldest_open() < drawn_ || may_draw(); }

  // One sample, or one order. False if there is nothing to do now.
  bool work(std::unique_lock<std::mutex>& lock, Bench& bench) {
    const std::uint64_t batch = oldest_open();
    if (batch < drawn_) {
      make_sample(lock, slot(batch), bench);
    } else if (may_draw()) {
      draw(lock);
    } else {
      return false;
    }
    return true;
  }

  void draw(std::unique_lock<std::mutex>& lock) {
    drawing_ = true;
    Slot& free = slot(drawn_);
    lock.unlock();
    bool drawn = false;
    std::exception_ptr error;
    try {
      if (std::optional<BatchOrder> order = source_()) {
        lay_out(std::move(*order), free);
        drawn = true;
      }
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    drawing_ = false;
    if (drawn) {
      ++drawn_;
    } else {
      ended_ = true;
      source_error_ = error;
    }
    changed_.notify_all();
  }

  void make_sample(std::unique_lock<std::mutex>& lock, Slot& slot, Bench& bench) {
    const std::size_t i = slot.given++;
    lock.unlock();
    std::exception_ptr error;
    try {
      fill(slot, i, bench);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error && (!slot.error || i < slot.failed)) {
      slot.error = error;
      slot.failed = i;
    }
    if (++slot.done == slot.order.indices.size()) changed_.notify_all();
  }

  void fill(Slot& slot, std::size_t i, Bench& bench) const {
    const BatchOrder& order = slot.order;
    Part& part = slot.parts[i];
    part.faults.clear();
    const Canvas& canvas = bench.maker.make({seed_, order.epoch, order.indices[i]}, order.size,
                                            order.augmentation, &part.faults);
    part.labels = to_labels(canvas.objects, order.size);
    slot.batch.frames[i] = bench.maker.frame();
    const std::size_t floats = sample_floats(slot.batch.size);
    const std::span<float> target(slot.batch.images.data() + i * floats, floats);
    if (slot.batch.size == order.size) {
      to_planes(canvas.pixels, target);
    } else {
      bench.planes.resize(sample_floats(order.size));
      to_planes(canvas.pixels, bench.planes);
      resize_batch(bench.planes, order.size, target, slot.batch.size);
    }
  }

  // Constant after construction.
  const Dataset& data_;
  const std::uint64_t seed_;

  // Of the thread that draws.
  Source source_;

  // Of next()'s thread.
  std::unique_ptr<Bench> own_bench_;  // with workers 0
  std::exception_ptr failure_;
  double seconds_ = 0;
  std::uint64_t replaced_ = 0;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Slot> slots_;            // guarded by mutex_, but see the invariants
  std::uint64_t drawn_ = 0;            // guarded by mutex_: batches whose order has come
  std::uint64_t taken_ = 0;            // guarded by mutex_: batches handed out
  std::uint64_t released_ = 0;         // guarded by mutex_: batches whose slot is free again
  bool drawing_ = false;               // guarded by mutex_
  bool ended_ = false;                 // guarded by mutex_: no order comes after drawn_
  std::exception_ptr source_error_;    // guarded by mutex_
  std::vector<std::jthread> threads_;  // last: they start when all else is there
};

BatchLoader::BatchLoader(const Dataset& data, const LoaderOptions& options, Source source) {
  if (options.workers < 0 || options.ahead < 1 || !source) {
    throw Error(ErrorCode::kInvalidArgument,
                "a loader needs at least 0 workers, 1 batch ahead and a source of orders; it has " +
                    std::to_string(options.workers) + " workers, " + std::to_string(options.ahead) +
                    " ahead and " + (source ? "a source" : "no source"));
  }
  impl_ = std::make_unique<Impl>(data, options, std::move(source));
}

BatchLoader::~BatchLoader() = default;

const DetectionBatch* BatchLoader::next() {
  return impl_->next();
}
double BatchLoader::seconds_waited() const {
  return impl_->seconds();
}
std::uint64_t BatchLoader::replaced() const {
  return impl_->replaced();
}

}  // namespace ps::vision
