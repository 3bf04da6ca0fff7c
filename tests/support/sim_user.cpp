#include "support/sim_user.h"

#include <algorithm>

#include "base/assert.h"
#include "cluster/placement.h"

namespace ps::sim {

void SimUser::done(worker::Ticket ticket, worker::Outcome outcome) {
  ++record_.operations_ended;
  compare_arrived();
  news_.push_back({ticket, std::move(outcome)});
}

void SimUser::arrived(worker::Ticket ticket, std::span<const std::uint32_t> parameters) {
  PS_ASSERT(ticket == ticket_ && state_ == State::kPushing, "weights arrived that no step wants");
  for (const std::uint32_t parameter : parameters) {
    const auto values = weights_[parameter].as<float>();
    const bool first =
        arrived_.emplace(parameter, std::vector(values.begin(), values.end())).second;
    PS_ASSERT(first, "a parameter arrived twice in one step");
    ++record_.steps.back().arrived;
  }
}

// A program reads what has arrived.
void SimUser::compare_arrived() {
  for (const auto& [parameter, values] : std::exchange(arrived_, {})) {
    if (std::ranges::equal(values, weights_[parameter].as<float>())) continue;
    record_.changed = "parameter " + std::to_string(parameter) + " in step " +
                      std::to_string(record_.steps.back().step);
  }
}

const char* SimUser::doing() const {
  switch (state_) {
    case State::kStarting:
      return "starting";
    case State::kLeasing:
      return "waiting for a lease";
    case State::kComputing:
      return "computing";
    case State::kPushing:
      return "waiting for a step to end";
    case State::kMeeting:
    case State::kLastMeeting:
      return "in a barrier";
    case State::kPulling:
      return "pulling";
    case State::kLeaving:
      return "leaving";
    case State::kLeft:
      return "gone";
    case State::kFailed:
      return "failed";
  }
  return "?";
}

worker::Ticket SimUser::next_ticket() {
  ++record_.operations;
  return ++ticket_;
}

TimePoint SimUser::timer() const {
  if (state_ != State::kComputing) return kNever;
  return ready_.empty() ? computed_ : std::min(computed_, ready_.front().first);
}

void SimUser::start(worker::Worker& core, cluster::Node& node, TimePoint now) {
  worker::Worker::ModelSetup setup{.name = program_.name,
                                   .options = program_.options,
                                   .parameters = program_.parameters,
                                   .weights = {},
                                   .gradients = {}};
  for (std::uint32_t i = 0; i < program_.parameters.size(); ++i) {
    const std::uint64_t count = cluster::elements(program_.parameters[i]);
    weights_.push_back(Memory::allocate(count * sizeof(float)));
    gradients_.push_back(Memory::allocate(count * sizeof(float)));
    const auto values = weights_.back().as<float>();
    for (std::uint64_t k = 0; k < count; ++k)
      values[k] = program_.initial ? program_.initial(i, k) : 0.0F;
  }
  setup.weights = weights_;
  setup.gradients = gradients_;
  node.call([&](cluster::Outbox& out) { core.add_model(next_ticket(), setup, now, out); });
}

void SimUser::go_on(worker::Worker& core, cluster::Node& node, TimePoint now) {
  while (!over() && (!news_.empty() || now >= timer())) {
    node.call([&](cluster::Outbox& out) {
      const Context at{core, now, out};
      if (!news_.empty()) {
        const News news = std::move(news_.front());
        news_.pop_front();
        PS_ASSERT(news.ticket == ticket_, "an operation ended that is not the one waited for");
        on_outcome(news.outcome, at);
      } else if (!ready_.empty() && ready_.front().first <= computed_) {
        on_ready(at);
      } else {
        end_step(at);
      }
    });
  }
}

void SimUser::on_outcome(const worker::Outcome& outcome, const Context& at) {
  if (outcome.failure) {
    record_.failure = outcome.failure;
    record_.running = record_.counted = false;
    state_ = State::kFailed;
    return;
  }
  switch (state_) {
    case State::kPushing:
      record_.steps.back().ended = at.now;
      record_.steps.back().result = outcome.step;
      break;
    case State::kLeasing:
      if (outcome.lease.done) return meet(State::kLastMeeting, at);
      record_.leases.push_back(outcome.lease);
      return compute(at);
    case State::kLastMeeting:
      state_ = State::kPulling;
      return at.core.pull(next_ticket(), 0, wire::Part::kWeights, at.now, at.out);
    case State::kPulling:
      keep_weights();
      record_.final_version = outcome.step.version;
      state_ = State::kLeaving;
      return at.core.leave(next_ticket(), at.now, at.out);
    case State::kLeaving:
      record_.running = record_.counted = false;
      record_.left = true;
      state_ = State::kLeft;
      return;
    default:
      break;
  }
  next(at);
}

void SimUser::next(const Context& at) {
  record_.incarnation = at.core.agent().incarnation();
  record_.next_step = at.core.clock(0);
  if (program_.lease_block > 0) {
    state_ = State::kLeasing;
    at.core.lease(
        next_ticket(),
        {.dataset_size = program_.lease_samples, .block = program_.lease_block, .epochs = 1},
        at.now, at.out);
    return;
  }
  if (record_.next_step >= program_.steps) return meet(State::kLastMeeting, at);
  const bool meets = program_.barrier_every > 0 && record_.next_step != met_at_ &&
                     record_.next_step % program_.barrier_every == 0;
  if (meets) {
    met_at_ = record_.next_step;
    return meet(State::kMeeting, at);
  }
  compute(at);
}

void SimUser::meet(State state, const Context& at) {
  state_ = state;
  record_.counted = false;
  at.core.collective(next_ticket(), {}, at.now, at.out);
}

void SimUser::compute(const Context& at) {
  state_ = State::kComputing;
  record_.counted = true;
  const std::uint64_t step = at.core.clock(0);
  record_.next_step = step;
  record_.steps.push_back({.step = step,
                           .plan = program_.plan(record_.life, step),
                           .started = at.now,
                           .pushed = kNever,
                           .ended = kNever,
                           .result = {}});
  const StepPlan& plan = record_.steps.back().plan;
  program_.fill(record_.life, step, gradients_);
  computed_ = at.now + plan.compute;
  ready_.clear();
  if (!plan.early) return;
  // The last layers' gradients are ready first.
  at.core.begin_step(0, plan.begin, at.now, at.out);
  const auto count = static_cast<std::uint32_t>(gradients_.size());
  for (std::uint32_t i = 0; i < count; ++i)
    ready_.emplace_back(at.now + plan.compute * (i + 1) / (count + 1), count - 1 - i);
}

void SimUser::on_ready(const Context& at) {
  const std::uint32_t parameter = ready_.front().second;
  ready_.pop_front();
  const auto& skipped = record_.steps.back().plan.skipped;
  if (!skipped.empty() && skipped[parameter]) {
    at.core.skip(0, parameter, at.now, at.out);
  } else {
    at.core.ready(0, parameter, at.now, at.out);
  }
}

void SimUser::end_step(const Context& at) {
  StepRecord& step = record_.steps.back();
  step.pushed = at.now;
  state_ = State::kPushing;
  computed_ = kNever;
  if (!step.plan.early) {
    at.core.begin_step(0, step.plan.begin, at.now, at.out);
    for (std::uint32_t i = 0; i < step.plan.skipped.size(); ++i) {
      if (step.plan.skipped[i]) at.core.skip(0, i, at.now, at.out);
    }
  }
  at.core.end_step(next_ticket(), 0, at.now, at.out);
}

void SimUser::keep_weights() {
  for (const Memory& weights : weights_) {
    const auto values = weights.as<float>();
    record_.final_weights.emplace_back(values.begin(), values.end());
  }
}

}  // namespace ps::sim
