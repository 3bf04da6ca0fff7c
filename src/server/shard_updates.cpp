// What requests do to the weights: initial values, rounds, updates.
#include <algorithm>
#include <cstring>
#include <utility>

#include "base/planted.h"
#include "kernels/finite.h"
#include "server/schedule.h"
#include "server/shard.h"

namespace ps::server {

void Shard::assign(Model& model, const wire::Message& message, cluster::Outbox& out) {
  std::size_t position = 0;
  for (const wire::Segment& segment : message.segments) {
    Chunk& chunk = *find_chunk(model, segment);
    // A restarted rank 0 assigns again; training has gone on since.
    if (!chunk.initialised) {
      std::memcpy(chunk.weights.bytes().data(), message.payload.data() + position, segment.bytes);
      chunk.initialised = true;
      wake(chunk, out);
    }
    position += segment.bytes;
  }
}

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
      continue;
    }
    model.round_samples[id.rank] = header.samples;
    staged_bytes_ -= chunk.round.staged_bytes();
    const ParameterKind kind = model.parameters[segment.parameter].kind;
    chunk.round.offer(id.rank, model.optimizer->weight_of(kind, header.weight), std::move(values));
    if (staged_bytes_ + chunk.round.staged_bytes() > options_.staging_bytes / 2)
      chunk.round.fold(pool_, chunk.where.count);
    staged_bytes_ += chunk.round.staged_bytes();
    chunk.waiters.push_back({id, chunk.version + 1});
    ++pending.chunks_left;
    offered.push_back(&chunk);
  }
  return offered;
}

// Async and ssp: each chunk is updated at once.
void Shard::apply_now(Model& model, const wire::Message& message, Pending& pending) {
  const std::uint32_t rank = message.header.sender.index;
  std::size_t position = 0;
  for (const wire::Segment& segment : message.segments) {
    Chunk& chunk = *find_chunk(model, segment);
    const std::uint64_t staleness = chunk.version - segment.version;
    const Contribution single{rank, message.header.weight,
                              floats(message.payload.slice(position, segment.bytes))};
    position += segment.bytes;
    const ParameterRates& rates = model.rates[segment.parameter];
    update(model, chunk,
           {.kind = model.parameters[segment.parameter].kind,
            .lr_scale = rates.lr_scale,
            .weight_decay = rates.weight_decay,
            .lr_factor = factor(model.options.schedule, model.samples),
            .staleness = staleness,
            .single = true},
           nullptr, single);
    workers_[rank].staleness.add(staleness);
    pending.answer.staleness =
        std::max(pending.answer.staleness, static_cast<std::uint32_t>(staleness));
    pending.answer.lr = chunk.state.lr;
  }
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
    model.gate.step_done(rank);
    return;
  }
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
  const ParameterRates& rates = model.rates[chunk.where.parameter];
  staged_bytes_ -= chunk.round.staged_bytes();
  update(model, chunk,
         {.kind = model.parameters[chunk.where.parameter].kind,
          .lr_scale = rates.lr_scale,
          .weight_decay = rates.weight_decay,
          .lr_factor = factor(model.options.schedule, model.samples)},
         &chunk.round, {});
  chunk.round.reset();
  close_round(model);
  wake(chunk, out);
}

// Out of place: answers under way keep the old block (invariant 3).
void Shard::update(Model& model,
                   Chunk& chunk,
                   const Optimizer::Step& step,
                   const Round* round,
                   const Contribution& single) {
  if (options_.observer != nullptr) {
    options_.observer->on_update({model.id, chunk.where, chunk.version, round, single});
  }
  const Memory next = pool_.acquire(chunk.weights.size());
  const std::vector<Contribution> all =
      round != nullptr ? round->contributions() : std::vector{single};
  const bool finite = model.optimizer->apply(
      step,
      {.old_weights = chunk.weights.as<const float>(),
       .new_weights = next.as<float>(),
       .folded = round != nullptr ? round->folded() : std::span<const float>(),
       .folded_weight = round != nullptr ? round->folded_weight() : 0.0,
       .contributions = all},
      chunk.state);
  if (finite) {
    chunk.weights = next;
  } else {
    // Finite gradients that overflow together: the weights stay as they were, and what the
    // optimizer remembers of this chunk starts anew, or every later update would fail as well.
    ++counters_.overflows;
    const std::uint64_t updates = chunk.state.updates;
    chunk.state = model.optimizer->make_state(chunk.where.count);
    chunk.state.updates = updates;
  }
  ++chunk.version;
  ++counters_.updates;
}

// Once every chunk has committed the round, its samples count as consumed: all of them saw the same
// learning rate.
void Shard::close_round(Model& model) {
  const auto [low, high] = std::ranges::minmax_element(model.chunks, {}, &Chunk::version);
  if (low->version != high->version) return;
  for (const auto& [rank, samples] : model.round_samples) model.samples += samples;
  model.round_samples.clear();
}

}  // namespace ps::server
