#include "session/pending.h"

#include <utility>

#include <ps/error.h>
#include <ps/trace.h>

#include "base/assert.h"

namespace ps {

void Pending::State::complete(worker::Outcome outcome) {
  const std::lock_guard lock(mutex_);
  if (outcome_) return;
  outcome_ = std::move(outcome);
  changed_.notify_all();
}

void Pending::State::arrived(std::span<const std::uint32_t> parameters) {
  const std::lock_guard lock(mutex_);
  for (const std::uint32_t parameter : parameters) {
    if (arrived_.size() <= parameter) arrived_.resize(parameter + std::size_t{1});
    arrived_[parameter] = true;
  }
  changed_.notify_all();
}

void Pending::State::then(std::shared_ptr<State> also, Rest rest) {
  also_ = std::move(also);
  rest_ = std::move(rest);
}

// Returns once `over`, which runs under the lock, says so.
void Pending::State::await(const std::function<bool()>& over,
                           const std::string& what,
                           std::chrono::milliseconds patience) {
  const TraceSpan span("wait");
  std::unique_lock lock(mutex_);
  if (changed_.wait_for(lock, patience, over)) return;
  throw Error(ErrorCode::kTimeout,
              what + " took longer than " + std::to_string(patience.count()) +
                  " ms; another worker may be slow or stuck (its progress is in its log)");
}

void Pending::State::wait_for_weights(std::uint32_t parameter,
                                      const std::string& name,
                                      std::optional<std::chrono::milliseconds> timeout) {
  bool done = false;
  const auto over = [&] {
    done = outcome_.has_value();
    return done || (parameter < arrived_.size() && arrived_[parameter]);
  };
  await(over, what_ + "'s weights of '" + name + "'", timeout.value_or(patience_));
  if (done) wait(timeout);
}

const worker::Outcome& Pending::State::wait(std::optional<std::chrono::milliseconds> timeout) {
  await([this] { return outcome_.has_value(); }, what_, timeout.value_or(patience_));
  if (outcome_->failure) throw Error(outcome_->failure->code, outcome_->failure->text);
  if (also_) also_->wait(timeout);
  run_rest();
  return *outcome_;
}

bool Pending::State::done() {
  {
    const std::lock_guard lock(mutex_);
    if (!outcome_) return false;
  }
  if (outcome_->failure) return true;
  if (also_ && !also_->done()) return false;
  if (!also_ || !also_->outcome_->failure) run_rest();
  return true;
}

void Pending::State::run_rest() {
  if (const Rest rest = std::exchange(rest_, {}))
    rest(*outcome_, also_ ? &*also_->outcome_ : nullptr);
}

StepInfo to_info(const worker::StepResult& result) {
  return {.version = result.version,
          .staleness = result.staleness,
          .mean_staleness =
              result.chunks == 0 ? 0.0 : result.staleness_sum / static_cast<double>(result.chunks),
          .lr = result.lr,
          .accepted = result.nonfinite + result.late + result.stale + result.skipped == 0,
          .late = result.late,
          .nonfinite = result.nonfinite,
          .stale = result.stale,
          .skipped = result.skipped};
}

StepInfo Pending::wait(std::optional<std::chrono::milliseconds> timeout) {
  PS_ASSERT(state_ != nullptr, "a default-constructed Pending stands for nothing to wait for");
  return to_info(state_->wait(timeout).step);
}

bool Pending::done() const {
  return state_ == nullptr || state_->done();
}

}  // namespace ps
