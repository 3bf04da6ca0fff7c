// The control side of the shard's core: joining, models, members. The data side is in
// shard_data.cpp.
#include "server/shard.h"

#include <algorithm>
#include <new>
#include <utility>

#include <ps/error.h>

#include "base/planted.h"
#include "cluster/placement.h"
#include "optim/modes.h"

namespace ps::server {

Shard::Shard(Options options)
    : options_(std::move(options)), agent_(options_.agent), pool_(options_.allocate) {}

void Shard::on_start(TimePoint now, cluster::Outbox& out) {
  agent_.start(now, out);
}

void Shard::on_message(net::Link from, wire::Message message, TimePoint now, cluster::Outbox& out) {
  now_ = now;
  if (from != cluster::kSchedulerLink) {
    on_request(from, std::move(message), out);
    return;
  }
  const auto control = agent_.on_message(message, now, out);
  if (control && std::holds_alternative<wire::View>(*control)) on_view(now, out);
  if (const auto* result = control ? std::get_if<wire::RoundResult>(&*control) : nullptr)
    on_round_result(*result, out);
  check_failure(now, out);
}

void Shard::on_bad_message(net::Link from,
                           const wire::DecodeError& error,
                           TimePoint now,
                           cluster::Outbox& out) {
  if (from == cluster::kSchedulerLink) agent_.on_bad_message(error);
  check_failure(now, out);
}

void Shard::on_time(TimePoint now, cluster::Outbox& out) {
  agent_.on_time(now, out);
  check_failure(now, out);
}

TimePoint Shard::next_time() const {
  return finished_ ? kNever : agent_.next_time();
}

void Shard::on_view(TimePoint now, cluster::Outbox& out) {
  const wire::View& view = agent_.view();
  if (view.phase == wire::View::Phase::kStopping) {
    finished_ = true;
    return;
  }
  workers_.resize(view.workers.size());
  for (std::uint32_t rank = 0; rank < view.workers.size(); ++rank)
    on_worker_change(rank, view.workers[rank], out);
  for (const wire::ModelInfo& info : view.models) {
    const Model* known = find_model(info.id);
    if (known == nullptr) {
      try {
        allocate(info, now, out);
      } catch (const Error& error) {
        return agent_.fail(error.code(), "model '" + info.name + "': " + error.what());
      } catch (const std::bad_alloc&) {
        return agent_.fail(ErrorCode::kUnavailable,
                           "shard " + std::to_string(options_.agent.self.index) +
                               " has too little memory for its part of model '" + info.name + "'");
      }
    } else if (info.ready) {
      agent_.settle(known->allocated_ask);
    }
  }
  agent_.set_progress(counters_.updates, "serving");
}

void Shard::on_worker_change(std::uint32_t rank,
                             const wire::WorkerInfo& info,
                             cluster::Outbox& out) {
  WorkerState& worker = workers_[rank];
  const bool reborn = info.incarnation != worker.incarnation;
  if (reborn && worker.incarnation != 0 && planted(PlantedBug::kIncarnationIgnored)) {
    worker.incarnation =
        info.incarnation;  // the bug: the new life's requests meet the old life's window
    return;
  }
  if (reborn) {
    // What the old life had contributed stays; whom to answer is gone.
    std::erase_if(pending_, [&](const auto& entry) { return entry.first.rank == rank; });
    for (const auto& model : models_) {
      if (worker.incarnation != 0) model->gate.leave(rank);  // until it joins again
      for (Chunk& chunk : model->chunks) {
        std::erase_if(chunk.waiters, [&](const Waiter& waiter) { return waiter.id.rank == rank; });
      }
    }
    worker.incarnation = info.incarnation;
    worker.window = Window();
  }
  const bool gone =
      info.state == wire::WorkerInfo::State::kDead || info.state == wire::WorkerInfo::State::kLeft;
  worker.dead = info.state == wire::WorkerInfo::State::kDead;
  if (gone) {
    for (const auto& model : models_) model->gate.leave(rank);
  }
  if (gone || reborn) open_gates(out);
}

void Shard::allocate(const wire::ModelInfo& info, TimePoint now, cluster::Outbox& out) {
  const auto workers = static_cast<std::uint32_t>(agent_.view().workers.size());
  const auto chunks = cluster::chunks_of(info.parameters, info.options.chunk_bytes);
  if (chunks.size() != info.placement.size()) {
    agent_.fail(ErrorCode::kInternal,
                "the scheduler's placement of model '" + info.name + "' does not fit its table");
    return;
  }
  std::vector<std::string> names;
  for (const auto& parameter : info.parameters) names.push_back(parameter.name);
  auto model = std::make_unique<Model>(
      Model{.id = info.id,
            .options = info.options,
            .parameters = info.parameters,
            .rates = optim::resolve_groups(info.options, names).rates,
            .optimizer = std::make_unique<optim::Optimizer>(info.options, workers),
            .gate = Gate(info.options.mode, workers),
            .sync = optim::has_rounds(info.options.mode)});
  for (auto& parameter : model->parameters)
    parameter.kind = optim::kind_on_servers(info.options, parameter.kind);
  if (const auto* async = std::get_if<Async>(&info.options.mode)) model->async = *async;
  if (const auto* sync = std::get_if<Sync>(&info.options.mode)) {
    const bool here = !optim::updates_on_workers(info.options);
    const bool gradient =
        (here && model->optimizer->needs_gradient_norms()) || info.options.finite == Finite::kStep;
    model->agreement = Agreement({.ticket = sync->backup_workers > 0,
                                  .gradient = gradient,
                                  .update = here && model->optimizer->needs_update_norms()},
                                 workers, workers - sync->backup_workers);
  }
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (info.placement[i] != options_.agent.self.index) continue;
    Chunk chunk;
    chunk.where = chunks[i];
    chunk.position = static_cast<std::uint32_t>(i);
    chunk.is_gradient = info.options.update != Update::kServer &&
                        info.parameters[chunks[i].parameter].kind == ParameterKind::kTrained;
    chunk.weights = pool_.acquire(chunks[i].count * sizeof(float));
    // An update writes into a second block and the first becomes free; having both from the start,
    // no step allocates.
    if (model->parameters[chunks[i].parameter].kind == ParameterKind::kTrained)
      chunk.state = model->optimizer->make_state(chunks[i].count);
    model->index.emplace(std::pair{chunks[i].parameter, chunks[i].offset}, model->chunks.size());
    bytes += chunk.weights.size();
    model->chunks.push_back(std::move(chunk));
  }
  out.note(
      LogLevel::kInfo,
      "model '" + info.name + "': " + std::to_string(model->chunks.size()) + " of " +
          std::to_string(chunks.size()) + " chunks, " + std::to_string(bytes) +
          " bytes of weights here; balance (max/mean over the shards) " +
          std::to_string(cluster::imbalance(
              chunks, info.placement, static_cast<std::uint32_t>(agent_.view().shards.size()))));
  model->allocated_ask = agent_.ask(wire::Allocated{info.id}, now, out);
  models_.push_back(std::move(model));
}

Shard::Model* Shard::find_model(std::uint16_t id) {
  const auto found = std::ranges::find(models_, id, [](const auto& model) { return model->id; });
  return found == models_.end() ? nullptr : found->get();
}

void Shard::check_failure(TimePoint now, cluster::Outbox& out) {
  if (!agent_.failure() || failed_) return;
  failed_ = true;
  finished_ = true;
  const bool told = agent_.view().phase == wire::View::Phase::kStopping;
  if (!told) agent_.leave(true, agent_.failure()->text, now, out);
  out.note(LogLevel::kError, agent_.failure()->text);
}

}  // namespace ps::server
