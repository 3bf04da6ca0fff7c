// What pushes do to the weights: rounds, updates.
#include <algorithm>
#include <utility>

#include <ps/trace.h>

#include "base/planted.h"
#include "kernels/finite.h"
#include "server/shard.h"

namespace ps::server {

void Shard::push(Model& model,
                 const wire::Message& message,
                 Pending& pending,
                 cluster::Outbox& out) {
  const wire::Header& header = message.header;
  const bool ends = (header.flags & wire::kFlagEndOfStep) != 0;
  const std::uint32_t rank = header.sender.index;
  const bool finite = kernels::all_finite(floats(message.payload));
  if (!finite) {
    ++counters_.nonfinite;
    pending.answer.status = wire::Status::kNonfinite;
    out.note(LogLevel::kWarn, cluster::name_of(header.sender) + " sent NaN or infinity in step " +
                                  std::to_string(header.clock) + ", parameter '" +
                                  model.parameters[message.segments.front().parameter].name +
                                  "' or one near it; the message is refused");
  }
  pending.gate_clock = model.gate.clock(rank) + 1;
  if (planted(PlantedBug::kAckBeforeApply) && header.type == wire::Type::kPush)
    send_answer(pending.link, header, {}, pending.answer, out);
  std::vector<Chunk*> offered;
  if (model.sync) {
    offered = contribute(model, message, pending);
  } else if (finite) {
    apply_now(model, message, pending);
  }
  if (ends) end_step(model, header, pending, offered);
  // Last, since a commit answers requests: `pending` may be gone after one.
  if (model.agreement.needs().any()) return advance(model, out);
  for (Chunk* chunk : offered) commit_if_complete(model, *chunk, out);
}

// Sync: each chunk's round takes this worker's part; a message that was refused counts as n = 0.
// Returns the chunks whose rounds may be complete now.
std::vector<Shard::Chunk*> Shard::contribute(Model& model,
                                             const wire::Message& message,
                                             Pending& pending) {
  const wire::Header& header = message.header;
  const RequestId id{header.sender.index, header.sequence};
  const bool taken = pending.answer.status == wire::Status::kOk;
  std::size_t position = 0;
  std::vector<Chunk*> offered;
  for (const wire::Segment& segment : message.segments) {
    Chunk& chunk = *find_chunk(model, segment);
    Buffer values = taken ? message.payload.slice(position, segment.bytes) : Buffer();
    position += segment.bytes;
    if (header.clock < chunk.version) {
      ++counters_.late;
      pending.answer.status = taken ? wire::Status::kLate : pending.answer.status;
      if (chunk.state.lr > 0) pending.answer.lr = chunk.state.lr;
      continue;
    }
    model.round_samples[id.rank] = header.samples;
    if (!taken && model.options.finite == Finite::kStep) model.agreement.spoiled(id.rank);
    staged_bytes_ -= chunk.round.staged_bytes();
    const ParameterKind kind = model.parameters[segment.parameter].kind;
    chunk.round.offer(id.rank, model.optimizer->weight_of(kind, header.weight), std::move(values));
    // Values that replace others do not add up.
    const bool may_fold =
        !model.options.measure && !model.agreement.needs().ticket && kind != ParameterKind::kAssign;
    if (may_fold && staged_bytes_ + chunk.round.staged_bytes() > options_.staging_bytes / 2)
      chunk.round.fold(pool_, chunk.where.count);
    staged_bytes_ += chunk.round.staged_bytes();
    chunk.waiters.push_back({id, chunk.version + 1});
    ++pending.chunks_left;
    offered.push_back(&chunk);
  }
  return offered;
}

// The step is whole: in sync what it did not send counts as n = 0, otherwise the worker's clock
// ticks. Adds to `offered` what may be complete now.
void Shard::end_step(Model& model,
                     const wire::Header& header,
                     Pending& pending,
                     std::vector<Chunk*>& offered) {
  const std::uint32_t rank = header.sender.index;
  if (!model.sync) {
    model.samples += header.samples;
    model.measure.end_update(1, header.samples);
    model.gate.step_done(rank);
    return;
  }
  model.agreement.arrived(rank, header.clock, header.samples);
  const RequestId id{rank, header.sequence};
  for (Chunk& chunk : model.chunks) {
    if (chunk.version != header.clock) continue;
    if (!chunk.round.has(rank)) {
      model.round_samples[rank] = header.samples;
      chunk.round.offer(rank, 0, {});
      offered.push_back(&chunk);
    }
    // Who only pushes is told when all of the round is over, or its next push could come too early
    // for a chunk that this step did not touch. Who pulls waits for every chunk anyway.
    const bool waits = !chunk.waiters.empty() && chunk.waiters.back().id == id;
    if (header.type != wire::Type::kPush || waits) continue;
    chunk.waiters.push_back({id, chunk.version + 1});
    ++pending.chunks_left;
  }
}

void Shard::commit_if_complete(Model& model, Chunk& chunk, cluster::Outbox& out) {
  if (!chunk.round.complete(static_cast<std::uint32_t>(workers_.size()))) return;
  staged_bytes_ -= chunk.round.staged_bytes();
  update(model, chunk, step_of(model, chunk), &chunk.round, {});
  chunk.round.reset();
  close_round(model);
  wake(chunk, out);
}

// Out of place: answers under way keep the old block (invariant 3).
void Shard::update(Model& model,
                   Chunk& chunk,
                   const optim::Optimizer::Step& step,
                   const Round* round,
                   const optim::Contribution& single) {
  if (options_.observer != nullptr) {
    options_.observer->on_update({model.id, chunk.where, chunk.version, round, single});
  }
  const Memory next = pool_.acquire(chunk.weights.size());
  const std::vector<optim::Contribution> all =
      round != nullptr ? round->contributions() : std::vector{single};
  const TraceSpan span("update");
  const bool finite = model.optimizer->apply(
      step,
      {.old_weights = chunk.weights.as<const float>(),
       .new_weights = next.as<float>(),
       .folded = round != nullptr ? round->folded() : std::span<const float>(),
       .folded_weight = round != nullptr ? round->folded_weight() : 0.0,
       .contributions = all},
      chunk.state);
  if (finite && model.options.measure && step.kind == ParameterKind::kTrained)
    model.measure.add(all, chunk.weights.as<const float>(), next.as<const float>());
  finish_update(model, chunk, next, finite);
}

// The weights after the update are in `next`.
void Shard::finish_update(Model& model, Chunk& chunk, const Memory& next, bool finite) {
  if (!finite) ++counters_.overflows;
  // A mean that is not finite says so: the one before would be applied again.
  if (finite || chunk.is_gradient) {
    chunk.weights = next;
    chunk.encoded = {};
  } else {
    // Finite gradients that overflow together: the weights stay as they were, and what the
    // optimizer remembers of this chunk starts anew, or every later update would fail as well.
    const std::uint64_t updates = chunk.state.updates;
    chunk.state = model.optimizer->make_state(chunk.where.count);
    chunk.state.updates = updates;
  }
  ++chunk.version;
  ++counters_.updates;
  if (chunk.average.size() > 0) {
    model.optimizer->follow(chunk.weights.as<const float>(), chunk.average.as<float>(),
                            chunk.version);
  }
}

optim::Optimizer::Step Shard::step_of(const Model& model, const Chunk& chunk) const {
  const wire::ParameterInfo& parameter = model.parameters[chunk.where.parameter];
  optim::Optimizer::Step step{.kind = parameter.kind, .dimensions = parameter.shape.size()};
  model.optimizer->pace(model.rates[chunk.where.parameter], model.samples, step);
  return step;
}

// Once every chunk has committed the round, its samples count as consumed: all of them saw the same
// learning rate.
void Shard::close_round(Model& model) {
  const auto [low, high] = std::ranges::minmax_element(model.chunks, {}, &Chunk::version);
  if (low->version != high->version) return;
  for (const auto& [rank, samples] : model.round_samples) model.samples += samples;
  end_measured_round(model);
  model.round_samples.clear();
}

void Shard::end_measured_round(Model& model) {
  double samples = 0;
  std::size_t contributors = 0;
  for (const auto& [rank, count] : model.round_samples) {
    if (count == 0 || !model.agreement.contributes(rank)) continue;
    samples += count;
    ++contributors;
  }
  model.measure.end_update(contributors, samples);
}

}  // namespace ps::server
