// A model's steps: what the user's thread does of one, and what the worker's core is told. Where
// workers update weights of their own, worker::Replica does the arithmetic and this moves its data.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <ps/error.h>
#include <ps/model.h>

#include "base/trace.h"
#include "optim/optimizer.h"
#include "server/measure.h"
#include "session/session_impl.h"

namespace ps {
namespace {

using Kind = worker::Replica::Kind;

void check_weight(double weight) {
  if (optim::usable_weight(weight)) return;
  throw Error(ErrorCode::kInvalidArgument,
              "a step's weight must be 0 or between 1e-30 and 1e30, got " + std::to_string(weight));
}

template <class Number>
std::uint32_t to_samples(Number number) {
  constexpr std::uint32_t kLargest = std::numeric_limits<std::uint32_t>::max();
  return number < static_cast<Number>(kLargest) ? static_cast<std::uint32_t>(number) : kLargest;
}

std::uint32_t samples_of(double weight, std::optional<std::uint32_t> samples) {
  check_weight(weight);
  return samples ? *samples : to_samples(std::round(weight));
}

}  // namespace

// --- the parts of a step
// ---------------------------------------------------------------------------------------------

void Model::Impl::check_idle(const std::string& what) const {
  if (!index)
    throw Error(ErrorCode::kInvalidArgument, what + " before start() of model '" + name + "'");
  if (in_step || (last && !last->done())) {
    throw Error(ErrorCode::kInvalidArgument, what + " while a step of model '" + name +
                                                 "' is under way: wait for its Pending first");
  }
}

void Model::Impl::check_may_step(const std::string& what) const {
  check_idle(what);
  if (replica && replica->shows_center()) {
    throw Error(ErrorCode::kInvalidArgument,
                what + " of model '" + name +
                    "' while its weights are the center that pull() brought: call resume() first");
  }
}

void Model::Impl::begin(worker::Verb verb,
                        double step_weight,
                        std::optional<std::uint32_t> samples) {
  const std::uint64_t consumed = accumulator.samples() + samples_of(step_weight, samples);
  const worker::StepBegin begin{verb, accumulator.weight() + step_weight, to_samples(consumed)};
  check_weight(begin.weight);
  weight = step_weight;
  for (const auto& parameter : storage) parameter->settled = false;
  trace::instant("step", name);
  if (replica) {
    replica->begin(begin.weight, begin.samples);
    // The center comes while the gradients are computed.
    if (replica->kind() == Kind::kElastic && replica->due()) center = fetch();
  }
  if (pushes_gradients()) {
    session->runtime->tell(
        [model = *index, begin](worker::Worker& worker, TimePoint now, cluster::Outbox& out) {
          worker.begin_step(model, begin, now, out);
        });
  }
  in_step = true;
}

void Model::Impl::settle(Parameter::Impl& parameter, As as) {
  const bool touched = as != As::kNothing;
  if (!in_step) {
    throw Error(ErrorCode::kInvalidArgument,
                std::string(touched ? "push_pull()" : "skip()") + " of '" + parameter.info.name +
                    "' outside a step: call Model::begin_step() first");
  }
  if (std::exchange(parameter.settled, true)) return;
  trace::instant("gradient", parameter.info.name);
  bool part = accumulator.finish(parameter.index, weight, touched);
  if (replica) {
    part = replica->settle(parameter.index, part && accumulator.weight() + weight > 0);
    if (!pushes_gradients()) return;
  }
  const Memory bytes = as == As::kEncoded ? parameter.encoded : Memory{};
  session->runtime->tell([model = *index, at = parameter.index, part, bytes](
                             worker::Worker& worker, TimePoint now, cluster::Outbox& out) {
    if (bytes.size() > 0) {
      worker.ready_encoded(model, at, bytes, now, out);
    } else if (part) {
      worker.ready(model, at, now, out);
    } else {
      worker.skip(model, at, now, out);
    }
  });
}

std::shared_ptr<Pending::State> Model::Impl::end() {
  if (center) center->wait(std::nullopt);
  center = nullptr;
  // Otherwise the worker's core settles by itself what has not left.
  if (replica || accumulator.weight() > 0) {
    for (const auto& parameter : storage) settle(*parameter, As::kGradient);
  }
  accumulator.clear();
  in_step = false;
  if (!replica) return end_on_servers();
  switch (replica->kind()) {
    case Kind::kLocal:
      replica->step();
      return replica->due() ? average() : done_at_once();
    case Kind::kElastic:
      return end_elastic();
    case Kind::kReduced:
      break;
  }
  return ring ? end_on_ring() : end_reduced();
}

std::shared_ptr<Pending::State> Model::Impl::end_on_servers() const {
  return session->runtime->submit(
      "push_pull()",
      [model = *index](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                       cluster::Outbox& out) { worker.end_step(ticket, model, now, out); });
}

// The gradients' means are on their way to every worker, which applies them by itself.
std::shared_ptr<Pending::State> Model::Impl::end_reduced() const {
  const auto sums = agree();
  const auto state = end_on_servers();
  state->then(sums, [own = replica](worker::Outcome& outcome, const worker::Outcome* all) {
    own->reduced(all->values);
    own->amend(outcome.step);
  });
  return state;
}

// Once the workers agree, whoever waits for the step takes part in the ring.
std::shared_ptr<Pending::State> Model::Impl::end_on_ring() const {
  const auto state = agree();
  state->then(nullptr, [own = replica, ring = ring](worker::Outcome& outcome,
                                                    const worker::Outcome* /*all*/) {
    const TraceSpan span("all-reduce");
    ring->mean(own->shares());
    own->reduced(outcome.values);
    own->amend(outcome.step);
  });
  return state;
}

std::shared_ptr<Pending::State> Model::Impl::end_elastic() const {
  replica->step();
  if (!replica->due()) return done_at_once();
  const std::uint32_t samples = to_samples(replica->packed_samples());
  replica->attract();
  const auto state = exchange({worker::Verb::kPush, 1.0, samples});
  state->then(nullptr, [own = replica](worker::Outcome& outcome, const worker::Outcome* /*all*/) {
    own->amend(outcome.step);
  });
  return state;
}

// All workers do this at once: the weights become their mean.
std::shared_ptr<Pending::State> Model::Impl::average() const {
  replica->pack();
  const auto sums = agree();
  const auto state = exchange(
      {worker::Verb::kPushPull, replica->packed_weight(), to_samples(replica->packed_samples())});
  state->then(sums, [own = replica](worker::Outcome& outcome, const worker::Outcome* all) {
    own->averaged(all->values);
    own->amend(outcome.step);
  });
  return state;
}

// --- what the worker's core is asked
// --------------------------------------------------------------------------------

std::shared_ptr<Pending::State> Model::Impl::exchange(const worker::StepBegin& begin) const {
  return session->runtime->submit(
      begin.verb == worker::Verb::kPush ? "push()" : "push_pull()",
      [model = *index, begin](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                              cluster::Outbox& out) {
        worker.begin_step(model, begin, now, out);
        worker.end_step(ticket, model, now, out);
      });
}

std::shared_ptr<Pending::State> Model::Impl::fetch(wire::Part part) const {
  return session->runtime->submit(
      "pull()",
      [model = *index, part](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                             cluster::Outbox& out) { worker.pull(ticket, model, part, now, out); });
}

// Sums of what the workers must agree on beside their values.
std::shared_ptr<Pending::State> Model::Impl::agree() const {
  return session->runtime->submit(
      "push_pull()", [values = replica->report()](worker::Worker& worker, worker::Ticket ticket,
                                                  TimePoint now, cluster::Outbox& out) {
        worker.collective(ticket, values, now, out);
      });
}

std::shared_ptr<Pending::State> Model::Impl::done_at_once() const {
  auto state = std::make_shared<Pending::State>(std::chrono::milliseconds(0), "push_pull()");
  worker::Outcome outcome;
  replica->amend(outcome.step);
  state->complete(std::move(outcome));
  return state;
}

// --- the public face
// -----------------------------------------------------------------------------------------

void Parameter::push_pull() const {
  impl_->model->settle(*impl_, Model::Impl::As::kGradient);
}

void Parameter::skip() const {
  impl_->model->settle(*impl_, Model::Impl::As::kNothing);
}

void Parameter::wait_for_weights(std::optional<std::chrono::milliseconds> timeout) const {
  const Model::Impl& model = *impl_->model;
  if (model.in_step) {
    if (!impl_->settled) return;  // still those that the step began with
    throw Error(ErrorCode::kInvalidArgument,
                "wait_for_weights() of '" + impl_->info.name +
                    "', which has left in the step under way: call Model::push_pull() first");
  }
  if (model.last) model.last->wait_for_weights(impl_->index, impl_->info.name, timeout);
}

void Model::begin_step(double weight, std::optional<std::uint32_t> samples) {
  impl_->check_may_step("begin_step()");
  impl_->begin(worker::Verb::kPushPull, weight, samples);
}

Pending Model::push_pull() {
  if (!impl_->in_step) {
    throw Error(ErrorCode::kInvalidArgument, "push_pull() of model '" + impl_->name +
                                                 "' without begin_step(): say push_pull(weight)");
  }
  impl_->last = impl_->end();
  return Pending(impl_->last);
}

Pending Model::push_pull(double weight, std::optional<std::uint32_t> samples) {
  begin_step(weight, samples);
  return push_pull();
}

void Model::accumulate(double weight, std::optional<std::uint32_t> samples) {
  impl_->check_may_step("accumulate()");
  impl_->accumulator.add(weight, samples_of(weight, samples));
}

Pending Model::push(double weight, std::optional<std::uint32_t> samples) {
  impl_->check_may_step("push()");
  impl_->begin(impl_->replica ? worker::Verb::kPushPull : worker::Verb::kPush, weight, samples);
  impl_->last = impl_->end();
  return Pending(impl_->last);
}

Pending Model::pull() {
  impl_->check_idle("pull()");
  const auto& replica = impl_->replica;
  if (replica && replica->kind() != Kind::kElastic) {
    const bool mean_is_there = replica->kind() == Kind::kReduced || !replica->differs();
    impl_->last = mean_is_there ? impl_->done_at_once() : impl_->average();
  } else {
    impl_->last = impl_->fetch();
  }
  if (replica && replica->kind() == Kind::kElastic) {
    impl_->last->then(nullptr, [own = replica](worker::Outcome& outcome, const worker::Outcome*) {
      own->show_center();
      own->amend(outcome.step);
    });
  }
  return Pending(impl_->last);
}

Pending Model::pull_average() {
  impl_->check_idle("pull_average()");
  if (impl_->options.ema.decay == 0 || impl_->replica) {
    throw Error(ErrorCode::kInvalidArgument,
                "pull_average() of model '" + impl_->name + "', which keeps none: set options.ema");
  }
  impl_->last = impl_->fetch(wire::Part::kAverage);
  return Pending(impl_->last);
}

Measures Model::measures() {
  impl_->check_idle("measures()");
  if (!impl_->options.measure) {
    throw Error(ErrorCode::kInvalidArgument, "measures() of model '" + impl_->name +
                                                 "', which measures nothing: set options.measure");
  }
  const auto asked = impl_->session->runtime->submit(
      "measures()",
      [model = *impl_->index](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                              cluster::Outbox& out) { worker.measures(ticket, model, now, out); });
  const std::vector<double> sums = asked->wait(std::nullopt).values;
  const Measures result = server::measures_of(sums, impl_->measured);
  impl_->measured = sums;
  return result;
}

void Model::resume() {
  impl_->check_idle("resume()");
  if (impl_->replica) impl_->replica->resume();
}

}  // namespace ps
