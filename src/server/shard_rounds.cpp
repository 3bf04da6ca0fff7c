// Rounds that all shards agree on before anyone commits: backup workers, clipping, LARS, LAMB, and
// finite = step (server/agreement.h).
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <ps/error.h>

#include "optim/schedule.h"
#include "server/shard.h"

namespace ps::server {

void Shard::on_round_result(const wire::RoundResult& result, cluster::Outbox& out) {
  Model* model = find_model(result.model);
  if (model == nullptr) return;
  const bool norms = result.phase != wire::RoundPart::Phase::kTicket;
  const std::size_t expected = norms ? 2 * model->parameters.size() : 0;
  if (result.sums.size() != expected) {
    // Waiting on would be waiting for ever: the workers hear that their requests are being worked
    // on.
    agent_.fail(ErrorCode::kInternal,
                "the scheduler answered for round " + std::to_string(result.round) + " of model " +
                    std::to_string(result.model) + " with " + std::to_string(result.sums.size()) +
                    " sums, expected " + std::to_string(expected) +
                    "; run the same build of ps everywhere");
    return;
  }
  if (!model->agreement.on_result(result)) return;
  agent_.settle(model->round_ask);
  if (!norms) model->samples = model->samples_at_start + result.samples;
  advance(*model, out);
}

void Shard::advance(Model& model, cluster::Outbox& out) {
  for (;;) {
    const Agreement::Due due = model.agreement.next();
    if (due == Agreement::Due::kNothing) return;
    if (due == Agreement::Due::kCommit) {
      commit_round(model, out);
      continue;
    }
    wire::RoundPart part = model.agreement.part(model.id);
    if (due == Agreement::Due::kGradient) reduce_round(model, part);
    if (due == Agreement::Due::kUpdate) direct_round(model, part);
    model.round_ask = agent_.ask(std::move(part), now_, out);
  }
}

// What came from workers that the ticket does not name.
void Shard::drop_late(const Model& model, Chunk& chunk) {
  const auto& ticket = model.agreement.ticket();
  if (!ticket) return;
  staged_bytes_ -= chunk.round.staged_bytes();
  chunk.round.keep(ticket->ranks);
  staged_bytes_ += chunk.round.staged_bytes();
}

// Makes one gradient of each chunk's contributions, and tells how long it is.
void Shard::reduce_round(Model& model, wire::RoundPart& part) {
  for (Chunk& chunk : model.chunks) {
    drop_late(model, chunk);
    if (model.parameters[chunk.where.parameter].kind != ParameterKind::kTrained) continue;
    if (chunk.gradient.size() == 0) chunk.gradient = pool_.acquire(chunk.weights.size());
    const std::vector<optim::Contribution> all = chunk.round.contributions();
    chunk.reduced = model.optimizer->reduce(step_of(model, chunk),
                                            {.old_weights = chunk.weights.as<const float>(),
                                             .new_weights = {},
                                             .folded = chunk.round.folded(),
                                             .folded_weight = chunk.round.folded_weight(),
                                             .contributions = all},
                                            chunk.gradient.as<float>());
    if (!chunk.reduced) continue;
    part.chunks.push_back(chunk.position);
    part.sums.push_back(optim::Optimizer::sum_of_squares(chunk.gradient.as<const float>()));
    part.sums.push_back(optim::Optimizer::sum_of_squares(chunk.weights.as<const float>()));
    if (!std::isfinite(part.sums[part.sums.size() - 2])) part.finite = false;
  }
}

// LAMB: turns each gradient into the direction of the update, and tells how long that is.
void Shard::direct_round(Model& model, wire::RoundPart& part) {
  if (!model.agreement.needs().gradient) {  // nobody has asked for the gradients before
    reduce_round(model, part);
    part.chunks.clear();
    part.sums.clear();
  }
  const float clip = clip_of(model);
  for (Chunk& chunk : model.chunks) {
    if (!chunk.reduced) continue;
    model.optimizer->direct(agreed_step_of(model, chunk, clip), chunk.weights.as<const float>(),
                            chunk.gradient.as<float>(), chunk.state);
    part.chunks.push_back(chunk.position);
    part.sums.push_back(optim::Optimizer::sum_of_squares(chunk.gradient.as<const float>()));
    part.sums.push_back(optim::Optimizer::sum_of_squares(chunk.weights.as<const float>()));
  }
}

// The factor that brings the whole model's gradient down to clip_norm.
float Shard::clip_of(const Model& model) {
  const auto& gradient = model.agreement.gradient();
  if (!gradient) return 1.0F;
  double total = 0;
  for (std::size_t i = 0; i < gradient->sums.size(); i += 2) total += gradient->sums[i];
  return optim::Optimizer::clip_factor(total, model.options.clip_norm);
}

optim::Optimizer::Step Shard::agreed_step_of(const Model& model,
                                             const Chunk& chunk,
                                             float clip) const {
  optim::Optimizer::Step step = step_of(model, chunk);
  const auto& gradient = model.agreement.gradient();
  const auto& update = model.agreement.update();
  step.clip = clip;
  if (gradient || update) {
    const std::vector<double>& sums = (update ? update : gradient)->sums;
    const std::size_t at = std::size_t{2} * chunk.where.parameter;
    step.trust = model.optimizer->trust(step, step.dimensions, sums[at + 1], sums[at]);
  }
  return step;
}

// Every shard commits the same round with the same numbers, or, if it was not finite, none does.
void Shard::commit_round(Model& model, cluster::Outbox& out) {
  const bool finite = model.agreement.finite();
  const float clip = finite ? clip_of(model) : 1.0F;
  if (!finite) ++counters_.skipped;
  for (Chunk& chunk : model.chunks) {
    drop_late(model, chunk);
    staged_bytes_ -= chunk.round.staged_bytes();
    for (const Waiter& waiter : chunk.waiters) {
      const auto pending = pending_.find(waiter.id);
      if (pending == pending_.end() || waiter.version != chunk.version + 1) continue;
      wire::Status& status = pending->second.answer.status;
      if (!model.agreement.contributes(waiter.id.rank)) {
        ++counters_.late;
        status = wire::Status::kLate;
      } else if (!finite && status == wire::Status::kOk) {
        status = wire::Status::kSkipped;
      }
    }
    if (!finite) {
      ++chunk.version;
    } else if (chunk.reduced) {
      if (options_.observer != nullptr)
        options_.observer->on_update({model.id, chunk.where, chunk.version, &chunk.round, {}});
      const Memory next = pool_.acquire(chunk.weights.size());
      const bool fits = model.optimizer->apply_reduced(
          agreed_step_of(model, chunk, clip), chunk.weights.as<const float>(), next.as<float>(),
          chunk.gradient.as<const float>(), chunk.state);
      if (fits && model.options.measure) {
        model.measure.add(chunk.round.contributions(), chunk.weights.as<const float>(),
                          next.as<const float>());
      }
      finish_update(model, chunk, next, fits);
    } else {
      update(model, chunk, step_of(model, chunk), &chunk.round, {});
    }
    chunk.reduced = false;
    chunk.round.reset();
  }
  if (model.agreement.needs().ticket) {
    end_measured_round(model);
  } else {
    close_round(model);
  }
  model.round_samples.clear();
  model.agreement.close();
  for (Chunk& chunk : model.chunks) wake(chunk, out);
}

}  // namespace ps::server
