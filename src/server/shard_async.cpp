// Async and ssp: pushes are applied as they come, unless they are too stale or wait for others.
#include <algorithm>
#include <utility>

#include "optim/compensation.h"
#include "server/shard.h"

namespace ps::server {

void Shard::apply_now(Model& model, const wire::Message& message, Pending& pending) {
  const std::uint32_t rank = message.header.sender.index;
  std::uint64_t stalest = 0;
  for (const wire::Segment& segment : message.segments)
    stalest = std::max(stalest, find_chunk(model, segment)->version - segment.version);
  pending.answer.staleness = static_cast<std::uint32_t>(stalest);
  if (model.async.max_staleness >= 0 &&
      stalest > static_cast<std::uint64_t>(model.async.max_staleness)) {
    ++counters_.stale;
    pending.answer.status = wire::Status::kStale;
    return;
  }
  std::size_t position = 0;
  for (const wire::Segment& segment : message.segments) {
    Chunk& chunk = *find_chunk(model, segment);
    Buffer values = message.payload.slice(position, segment.bytes);
    position += segment.bytes;
    const bool waits = chunk.held.size() + 1 < model.async.pushes_per_update;
    // Its worker is answered at once, and then writes where the message may still lie.
    if (waits) {
      const Memory kept = pool_.acquire(segment.bytes);
      std::ranges::copy(values.bytes(), kept.bytes().begin());
      values = kept.buffer();
    }
    chunk.held.push_back({rank, message.header.weight, segment.version, std::move(values)});
    if (!waits) apply_held(model, chunk, pending);
  }
}

// One update of what the chunk has been pushed; more than one push count as their mean.
void Shard::apply_held(Model& model, Chunk& chunk, Pending& pending) {
  optim::Optimizer::Step step = step_of(model, chunk);
  step.single = chunk.held.size() == 1;
  Round together;
  std::vector<Memory> corrected;
  for (std::uint32_t i = 0; i < chunk.held.size(); ++i) {
    Held& push = chunk.held[i];
    const std::uint64_t staleness = chunk.version - push.version;
    step.staleness = std::max(step.staleness, staleness);
    workers_[push.rank].staleness.add(staleness);
    corrected.push_back(compensated(model, chunk, push));
    if (corrected.back().size() > 0) push.values = corrected.back().buffer();
    if (!step.single)
      together.offer(i, model.optimizer->weight_of(step.kind, push.weight), push.values);
  }
  const Held& first = chunk.held.front();
  update(model, chunk, step, step.single ? nullptr : &together,
         {first.rank, first.weight, floats(first.values)});
  if (chunk.state.lr > 0) pending.answer.lr = chunk.state.lr;
  chunk.held.clear();
}

// The push as DC-ASGD corrects it for what has changed since its worker pulled; nothing where that
// is not asked for, or the block it pulled is not known any more.
Memory Shard::compensated(const Model& model, Chunk& chunk, const Held& push) {
  const bool trained = model.parameters[chunk.where.parameter].kind == ParameterKind::kTrained;
  if (model.async.compensation == Compensation::kNone || !trained || push.values.empty()) return {};
  const auto pulled = std::ranges::find_if(chunk.pulled, [&](const Pulled& one) {
    return one.rank == push.rank && one.version == push.version;
  });
  if (pulled == chunk.pulled.end()) return {};
  const Memory result = pool_.acquire(chunk.weights.size());
  const std::span<const float> weights = chunk.weights.as<const float>();
  const std::span<const float> old = pulled->weights.as<const float>();
  if (model.async.compensation == Compensation::kConstant) {
    optim::compensate({floats(push.values), weights, old, result.as<float>()}, model.async.lambda);
    return result;
  }
  if (chunk.mean_square.size() == 0)
    chunk.mean_square = Memory::allocate(chunk.weights.size());  // zeros
  optim::compensate_adaptively({floats(push.values), weights, old, result.as<float>()},
                               model.async.lambda, model.async.decay,
                               chunk.mean_square.as<float>());
  return result;
}

// The worker is sent the chunk's weights as they are: a push of its that says this version was
// computed at them. The two last ones are kept, since an answer may be said again.
void Shard::remember_pull(Chunk& chunk, std::uint32_t rank) {
  std::size_t known = 0;
  for (const Pulled& one : chunk.pulled) {
    if (one.rank != rank) continue;
    if (one.version == chunk.version) return;
    ++known;
  }
  if (known > 1) {
    chunk.pulled.erase(
        std::ranges::find(chunk.pulled, rank, [](const Pulled& one) { return one.rank; }));
  }
  chunk.pulled.push_back({rank, chunk.version, chunk.weights});
}

}  // namespace ps::server
