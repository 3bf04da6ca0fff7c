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
  completed_.notify_all();
}

void Pending::State::then(std::shared_ptr<State> also, Rest rest) {
  also_ = std::move(also);
  rest_ = std::move(rest);
}

const worker::Outcome& Pending::State::wait(std::optional<std::chrono::milliseconds> timeout) {
  const auto patience = timeout.value_or(patience_);
  {
    const TraceSpan span("wait");
    std::unique_lock lock(mutex_);
    if (!completed_.wait_for(lock, patience, [this] { return outcome_.has_value(); })) {
      throw Error(ErrorCode::kTimeout,
                  what_ + " took longer than " + std::to_string(patience.count()) +
                      " ms; another worker may be slow or stuck (its progress is in its log)");
    }
  }
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
