#include "session/pending.h"

#include <ps/error.h>

#include "base/assert.h"

namespace ps {

void Pending::State::complete(worker::Outcome outcome) {
  const std::lock_guard lock(mutex_);
  if (outcome_) return;
  outcome_ = std::move(outcome);
  completed_.notify_all();
}

const worker::Outcome& Pending::State::wait(std::optional<std::chrono::milliseconds> timeout) {
  const auto patience = timeout.value_or(patience_);
  std::unique_lock lock(mutex_);
  if (!completed_.wait_for(lock, patience, [this] { return outcome_.has_value(); })) {
    throw Error(ErrorCode::kTimeout,
                what_ + " took longer than " + std::to_string(patience.count()) +
                    " ms; another worker may be slow or stuck (its progress is in its log)");
  }
  if (outcome_->failure) throw Error(outcome_->failure->code, outcome_->failure->text);
  return *outcome_;
}

bool Pending::State::done() const {
  const std::lock_guard lock(mutex_);
  return outcome_.has_value();
}

StepInfo to_info(const worker::StepResult& result) {
  return {.version = result.version,
          .staleness = result.staleness,
          .mean_staleness =
              result.chunks == 0 ? 0.0 : result.staleness_sum / static_cast<double>(result.chunks),
          .lr = result.lr,
          .accepted = result.nonfinite == 0 && result.late == 0,
          .late = result.late,
          .nonfinite = result.nonfinite};
}

StepInfo Pending::wait(std::optional<std::chrono::milliseconds> timeout) {
  PS_ASSERT(state_ != nullptr, "a default-constructed Pending stands for nothing to wait for");
  return to_info(state_->wait(timeout).step);
}

bool Pending::done() const {
  return state_ == nullptr || state_->done();
}

}  // namespace ps
