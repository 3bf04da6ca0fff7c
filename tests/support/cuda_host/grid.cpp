#include "grid.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <exception>
#include <memory>
#include <numeric>
#include <vector>

#include "fiber.h"
#include "guard.h"
#include "shared_memory.h"

uint3 threadIdx{};
uint3 blockIdx{};
dim3 blockDim;
dim3 gridDim;

namespace cuda_host {
namespace {

constexpr unsigned kWarpLanes = 32;

struct Abandoned {};  // unwinds a thread whose block has failed

enum class State : std::uint8_t { kNew, kRunning, kAtBarrier, kAtCollective, kReleased, kEnded };

struct Thread {
  State state = State::kNew;
  Barrier barrier = Barrier::kPlain;
  unsigned mask = 0;
  int source = 0;
  std::uint64_t value = 0;   // given to the barrier or collective
  std::uint64_t result = 0;  // and what comes of it
  Site site{};
  Fiber* fiber = nullptr;
  uint3 index{};
};

std::string text_of(const Site& site) {
  return std::string(site.word) + " in " + site.function + " (" + site.file + ":" +
         std::to_string(site.line) + ")";
}

// Bits of lanes.
struct Warp {
  unsigned lanes = 0;    // that the block has
  unsigned waiting = 0;  // at collectives
  unsigned ended = 0;
};

// Lets fibers take turns. A fiber that has nothing to run takes the next thread that is ready: a
// new one it runs itself, to a released one's fiber it switches. So threads that wait for nobody
// cost no switch at all. There is one grid at a time, under the emulator's lock.
class Grid {
 public:
  std::string run(const Launch& launch, const std::function<void()>& thread, Choices& choices);

  int barrier(Barrier kind, int value, const Site& site);
  std::uint64_t collective(unsigned mask, std::uint64_t value, int source, const Site& site);
  [[noreturn]] void fail(const std::string& what);
  [[nodiscard]] unsigned current() const { return running_->thread; }
  [[nodiscard]] void* dynamic() const { return dynamic_; }
  void set_poison(unsigned char pattern);
  [[noreturn]] void run_fiber();

 private:
  void begin_block();
  void end_block();
  void begin_thread(unsigned thread);
  void make_ready(unsigned thread);
  void switch_to(Fiber& other);
  void wait();
  void complete_barrier();
  void complete_collective(unsigned warp_first, unsigned mask);
  void leave_warp(unsigned number);
  [[noreturn]] void lose(unsigned lanes, const Site& site, const std::string& why);
  void note(const std::string& what);
  [[nodiscard]] std::string who_waits() const;
  [[nodiscard]] std::string parameters() const;
  Fiber& take_fiber();

  const Launch* launch_ = nullptr;
  const std::function<void()>* thread_ = nullptr;
  Choices* choices_ = nullptr;
  std::vector<std::uint32_t> order_;  // of the blocks
  std::uint64_t block_ = 0;           // how many are done
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<unsigned> ready_;
  std::size_t at_barrier_ = 0;
  std::size_t ended_ = 0;
  std::string failure_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  Fiber host_;
  Fiber* running_ = nullptr;
  StaticShared shared_;
  std::byte* dynamic_ = nullptr;
  unsigned char poison_ = 0xFF;
};

Grid& grid() {
  static auto* the_grid = new Grid;  // never destroyed: fibers hold no resources but memory
  return *the_grid;
}

void fiber_entry() {
  Fiber::entered();
  grid().run_fiber();
}

std::string Grid::run(const Launch& launch, const std::function<void()>& thread, Choices& choices) {
  launch_ = &launch;
  thread_ = &thread;
  choices_ = &choices;
  const dim3& n = launch.threads;
  threads_.assign(std::size_t{n.x} * n.y * n.z, Thread{});
  warps_.resize((threads_.size() + kWarpLanes - 1) / kWarpLanes);
  unsigned i = 0;
  for (unsigned z = 0; z < n.z; ++z) {
    for (unsigned y = 0; y < n.y; ++y) {
      for (unsigned x = 0; x < n.x; ++x) threads_[i++].index = {x, y, z};
    }
  }
  order_.resize(std::size_t{launch.blocks.x} * launch.blocks.y * launch.blocks.z);
  std::iota(order_.begin(), order_.end(), 0U);
  for (std::size_t k = order_.size(); k > 1; --k) {
    std::swap(order_[k - 1], order_[choices.below(static_cast<std::uint32_t>(k))]);
  }
  blockDim = launch.threads;
  gridDim = launch.blocks;
  failure_.clear();
  block_ = 0;
  dynamic_ = static_cast<std::byte*>(std::malloc(launch.shared_bytes + kGuardBytes));
  set_guard(dynamic_ + launch.shared_bytes);
  shared_.begin(launch.kernel);
  begin_block();
  host_.adopt();
  running_ = &host_;
  switch_to(take_fiber());
  std::free(dynamic_);
  dynamic_ = nullptr;
  return std::move(failure_);
}

Fiber& Grid::take_fiber() {
  if (idle_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(fiber_entry));
    return *fibers_.back();
  }
  Fiber& fiber = *idle_.back();
  idle_.pop_back();
  return fiber;
}

void Grid::set_poison(unsigned char pattern) {
  poison_ = pattern;
  shared_.set_pattern(pattern);
}

void Grid::begin_block() {
  const std::uint32_t number = order_[block_];
  const dim3& n = launch_->blocks;
  blockIdx = {number % n.x, number / n.x % n.y, number / n.x / n.y};
  if (launch_->shared_bytes != 0) std::memset(dynamic_, poison_, launch_->shared_bytes);
  at_barrier_ = 0;
  ended_ = 0;
  ready_.clear();
  for (std::size_t w = 0; w < warps_.size(); ++w) {
    const std::size_t lanes = std::min<std::size_t>(kWarpLanes, threads_.size() - w * kWarpLanes);
    warps_[w] = {.lanes = 0xFFFFFFFFU >> (kWarpLanes - lanes)};
  }
  for (unsigned i = 0; i < threads_.size(); ++i) {
    threads_[i].state = State::kNew;
    make_ready(i);
  }
}

void Grid::end_block() {
  shared_.block_done(block_, order_.size());
  if (!guard_holds(dynamic_ + launch_->shared_bytes)) {
    note("it wrote beyond its " + std::to_string(launch_->shared_bytes) +
         " bytes of dynamic shared memory");
  }
  ++block_;
}

// Anywhere among those that are ready.
void Grid::make_ready(unsigned thread) {
  ready_.push_back(thread);
  std::swap(ready_.back(), ready_[choices_->below(static_cast<std::uint32_t>(ready_.size()))]);
}

void Grid::switch_to(Fiber& other) {
  Fiber& self = *running_;
  running_ = &other;
  self.switch_to(other);
}

// A fiber's life: threads, of this block and the next ones, of this launch and later ones.
void Grid::run_fiber() {
  while (true) {
    if (ready_.empty() && ended_ == threads_.size()) {
      end_block();
      if (block_ == order_.size() || !failure_.empty()) {
        idle_.push_back(running_);
        switch_to(host_);
        continue;
      }
      begin_block();
    }
    if (ready_.empty()) {  // the others wait for what will not come
      note(who_waits());
    }
    const unsigned next = ready_.back();
    ready_.pop_back();
    if (threads_[next].state == State::kNew) {
      begin_thread(next);
    } else {
      idle_.push_back(running_);
      switch_to(*threads_[next].fiber);
    }
  }
}

void Grid::begin_thread(unsigned number) {
  Thread& thread = threads_[number];
  thread.state = State::kRunning;
  running_->thread = number;
  threadIdx = thread.index;
  try {
    if (failure_.empty()) (*thread_)();
  } catch (const Abandoned&) {  // said already
  } catch (const std::exception& error) {
    note(std::string("an exception: ") + error.what());
  }
  threads_[number].state = State::kEnded;
  ++ended_;
  leave_warp(number);
}

// Gives the turn to whoever is ready, until that is this thread. REQUIRES: its state is set.
void Grid::wait() {
  const unsigned self = current();
  threads_[self].fiber = running_;
  if (ready_.empty()) note(who_waits());
  const unsigned next = ready_.back();
  if (next == self) {
    ready_.pop_back();
  } else if (threads_[next].state == State::kNew) {
    switch_to(take_fiber());  // which takes it
  } else {
    ready_.pop_back();
    switch_to(*threads_[next].fiber);
  }
  threads_[self].state = State::kRunning;
  threadIdx = threads_[self].index;
  if (!failure_.empty()) throw Abandoned{};
}

int Grid::barrier(Barrier kind, int value, const Site& site) {
  if (!failure_.empty()) throw Abandoned{};
  Thread& self = threads_[current()];
  self.barrier = kind;
  self.value = static_cast<std::uint64_t>(value != 0);
  self.state = State::kAtBarrier;
  self.site = site;
  if (++at_barrier_ == threads_.size()) complete_barrier();
  wait();
  return static_cast<int>(self.result);
}

bool same_text(const char* a, const char* b) {
  return a == b || std::strcmp(a, b) == 0;
}

bool same_place(const Site& a, const Site& b) {
  return a.line == b.line && same_text(a.word, b.word) && same_text(a.file, b.file);
}

void Grid::complete_barrier() {
  std::uint64_t sum = 0;
  for (const Thread& thread : threads_) {
    if (!same_place(thread.site, threads_[0].site)) fail(who_waits());
    sum += thread.value;
  }
  const Barrier kind = threads_[0].barrier;
  const std::uint64_t result = kind == Barrier::kCount ? sum
                               : kind == Barrier::kAnd ? sum == threads_.size()
                                                       : sum != 0;
  at_barrier_ = 0;
  for (unsigned i = 0; i < threads_.size(); ++i) {
    threads_[i].result = result;
    threads_[i].state = State::kReleased;
    make_ready(i);
  }
}

std::uint64_t Grid::collective(unsigned mask, std::uint64_t value, int source, const Site& site) {
  if (!failure_.empty()) throw Abandoned{};
  const unsigned number = current();
  Thread& self = threads_[number];
  Warp& warp = warps_[number / kWarpLanes];
  const unsigned lane = 1U << number % kWarpLanes;
  self.site = site;
  if ((mask & lane) == 0) fail(text_of(site) + ": the lane is not in its own mask");
  if ((mask & ~warp.lanes) != 0) lose(mask & ~warp.lanes, site, "the block does not have");
  if ((mask & warp.ended) != 0) lose(mask & warp.ended, site, "has ended");
  self.mask = mask;
  self.value = value;
  self.source = source;
  self.state = State::kAtCollective;
  warp.waiting |= lane;
  if ((mask & ~warp.waiting) == 0) complete_collective(number / kWarpLanes * kWarpLanes, mask);
  wait();
  return self.result;
}

// Calls f with each lane of the mask.
template <class F>
void for_lanes(unsigned mask, const F& f) {
  for (; mask != 0; mask &= mask - 1) f(static_cast<unsigned>(std::countr_zero(mask)));
}

void Grid::lose(unsigned lanes, const Site& site, const std::string& why) {
  fail(text_of(site) + ": the mask names lane " + std::to_string(std::countr_zero(lanes)) +
       ", which " + why);
}

// All have come: to the same place, with the same mask?
void Grid::complete_collective(unsigned warp_first, unsigned mask) {
  const Site site = threads_[current()].site;
  unsigned truths = 0;
  for_lanes(mask, [&](unsigned lane) {
    const Thread& thread = threads_[warp_first + lane];
    if (thread.mask != mask || !same_place(thread.site, site)) {
      lose(1U << lane, site, "is elsewhere or has another mask");
    }
    truths |= static_cast<unsigned>(thread.value & 1U) << lane;
  });
  warps_[warp_first / kWarpLanes].waiting &= ~mask;
  for_lanes(mask, [&](unsigned lane) {
    Thread& thread = threads_[warp_first + lane];
    if (thread.source < 0) {
      thread.result = truths;
    } else if ((mask >> static_cast<unsigned>(thread.source) & 1U) != 0) {
      thread.result = threads_[warp_first + static_cast<unsigned>(thread.source)].value;
    } else {
      thread.result = 0x0101010101010101U * poison_;  // of a lane that gave none
    }
    thread.state = State::kReleased;
    make_ready(warp_first + lane);
  });
}

// A thread has ended. Does a lane of its warp wait for it?
void Grid::leave_warp(unsigned number) {
  Warp& warp = warps_[number / kWarpLanes];
  const unsigned self = 1U << number % kWarpLanes;
  warp.ended |= self;
  for_lanes(warp.waiting, [&](unsigned lane) {
    const Thread& thread = threads_[number / kWarpLanes * kWarpLanes + lane];
    if ((thread.mask & self) == 0) return;
    note(text_of(thread.site) + ": the mask names lane " + std::to_string(number % kWarpLanes) +
         ", which has ended");
  });
}

// Remembers the first finding and lets every thread that waits come back to be unwound.
void Grid::note(const std::string& what) {
  if (!failure_.empty()) return;
  failure_ = "in a launch of a kernel (" + parameters() + "), block (" +
             std::to_string(blockIdx.x) + ", " + std::to_string(blockIdx.y) + ", " +
             std::to_string(blockIdx.z) + "): " + what;
  for (unsigned i = 0; i < threads_.size(); ++i) {
    Thread& thread = threads_[i];
    if (thread.state != State::kAtBarrier && thread.state != State::kAtCollective) continue;
    thread.state = State::kReleased;
    make_ready(i);
  }
}

void Grid::fail(const std::string& what) {
  threads_[current()].state = State::kRunning;
  note("thread " + std::to_string(current()) + ": " + what);
  throw Abandoned{};
}

std::string Grid::parameters() const {
  const std::string whole = launch_->parameters;
  const auto first = whole.find('{');
  const auto last = whole.rfind('}');
  return last == std::string::npos ? whole : whole.substr(first + 1, last - first - 1);
}

// "threads 0-31 wait at ...; threads 32-63 have ended".
std::string Grid::who_waits() const {
  const auto place = [this](std::size_t i) {
    return threads_[i].state == State::kEnded ? "have ended"
                                              : "wait at " + text_of(threads_[i].site);
  };
  std::string text = "divergent: ";
  for (std::size_t first = 0, i = 1; i <= threads_.size(); ++i) {
    if (i < threads_.size() && place(i) == place(first)) continue;
    text += (first == 0 ? "threads " : "; threads ") + std::to_string(first) + "-" +
            std::to_string(i - 1) + " " + place(first);
    first = i;
  }
  return text;
}

}  // namespace

int block_barrier(Barrier kind, int value, const Site& site) {
  return grid().barrier(kind, value, site);
}

std::uint64_t warp_exchange(unsigned mask, std::uint64_t value, int source, const Site& site) {
  return grid().collective(mask, value, source, site);
}

unsigned warp_vote(unsigned mask, bool value, const Site& site) {
  return static_cast<unsigned>(grid().collective(mask, value ? 1 : 0, -1, site));
}

int lane() noexcept {
  return static_cast<int>(grid().current() % kWarpLanes);
}

int source_in_segment(int wanted, int width) noexcept {
  const int self = lane();
  const int first = self & ~(width - 1);
  return wanted < first || wanted >= first + width ? self : wanted;
}

void trap(const char* why) {
  grid().fail(why);
}

void* dynamic_shared() noexcept {
  return grid().dynamic();
}

std::string run_grid(const Launch& launch, const std::function<void()>& thread, Choices& choices) {
  return grid().run(launch, thread, choices);
}

void set_shared_poison(unsigned char pattern) {
  grid().set_poison(pattern);
}

}  // namespace cuda_host
