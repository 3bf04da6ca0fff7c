// The control side of the worker's core: joining, models, collectives, leases, the end. The data
// side is in worker_data.cpp.
#include "worker/worker.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace ps::worker {

Worker::Worker(Options options, Events& events)
    : options_(std::move(options)),
      events_(events),
      agent_(options_.agent),
      pool_(options_.allocate) {}

void Worker::on_start(TimePoint now, cluster::Outbox& out) {
  agent_.start(now, out);
}

void Worker::on_message(net::Link from,
                        wire::Message message,
                        TimePoint now,
                        cluster::Outbox& out) {
  if (from >= link_of(0)) {
    on_reply(from - link_of(0), message, now, out);
  } else if (const auto control = agent_.on_message(message, now, out)) {
    if (std::holds_alternative<wire::View>(*control)) on_view(now, out);
    const auto answered = [&](std::map<Ticket, Asked>& asked,
                              std::uint64_t index) -> std::optional<Ticket> {
      const auto found =
          std::ranges::find(asked, index, [](const auto& entry) { return entry.second.index; });
      if (found == asked.end()) return std::nullopt;
      const Ticket ticket = found->first;
      agent_.settle(found->second.ask);
      asked.erase(found);
      return ticket;
    };
    if (const auto* result = std::get_if<wire::CollectiveResult>(&*control)) {
      if (const auto ticket = answered(collectives_, result->index))
        come_back(*ticket, result->values, now, out);
    }
    if (const auto* grant = std::get_if<wire::LeaseGrant>(&*control)) {
      Outcome outcome;
      outcome.lease = *grant;
      if (const auto ticket = answered(leases_, grant->index)) finish(*ticket, std::move(outcome));
    }
  }
  check_failure(now, out);
}

void Worker::on_bad_message(net::Link from,
                            const wire::DecodeError& error,
                            TimePoint now,
                            cluster::Outbox& out) {
  // A shard speaks the scheduler's version, or it would not have joined.
  if (from == cluster::kSchedulerLink) agent_.on_bad_message(error);
  check_failure(now, out);
}

void Worker::on_time(TimePoint now, cluster::Outbox& out) {
  agent_.on_time(now, out);
  for (std::size_t shard = 0; shard < shards_.size() && !failed_; ++shard)
    check_requests(shard, now, out);
  check_failure(now, out);
}

TimePoint Worker::next_time() const {
  if (finished_ || failed_) return kNever;
  TimePoint next = agent_.next_time();
  for (const ShardLink& shard : shards_) next = std::min(next, shard.requests.next_time());
  return next;
}

// --- the scheduler's view
// ------------------------------------------------------------------------------------

void Worker::on_view(TimePoint now, cluster::Outbox& out) {
  const wire::View& view = agent_.view();
  if (!agent_.joined() || failed_) return;
  const std::uint32_t rank = options_.agent.self.index;
  if (rank >= view.workers.size()) return;  // no view has come yet
  const auto& self = view.workers[rank];
  if (leaving_ && (self.state == wire::WorkerInfo::State::kLeft ||
                   view.phase == wire::View::Phase::kStopping)) {
    agent_.settle(leave_ask_);
    agent_.confirm(now, out);
    finished_ = true;
    finish(*std::exchange(leaving_, std::nullopt), {});
    return;
  }
  if (view.phase != wire::View::Phase::kRunning) return;
  if (shards_.empty()) connect_shards(now, out);
  for (std::size_t i = 0; i < models_.size(); ++i) {
    if (models_[i]->state != Model::State::kRegistering) continue;
    const auto info =
        std::ranges::find(view.models, models_[i]->setup.name, &wire::ModelInfo::name);
    if (info != view.models.end() && info->ready) on_model_ready(i, *info, now, out);
  }
}

void Worker::connect_shards(TimePoint now, cluster::Outbox& out) {
  const auto& infos = agent_.view().shards;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    shards_.push_back({RequestTable(options_.agent.timing, options_.seed + i), 0, {}, now, now});
    out.connect(link_of(i), infos[i].endpoint);
  }
}

void Worker::on_model_ready(std::size_t index,
                            const wire::ModelInfo& info,
                            TimePoint now,
                            cluster::Outbox& out) {
  Model& model = *models_[index];
  agent_.settle(model.register_ask);
  const auto shards = static_cast<std::uint32_t>(shards_.size());
  const bool fits =
      info.parameters == model.setup.parameters && info.options.chunk_bytes >= sizeof(float) &&
      cluster::chunks_of(info.parameters, info.options.chunk_bytes).size() ==
          info.placement.size() &&
      std::ranges::all_of(info.placement, [&](std::uint32_t shard) { return shard < shards; });
  if (!fits) {
    fail(ErrorCode::kInternal,
         "the scheduler's table of model '" + info.name + "' is not the one registered", now, out);
    return;
  }
  model.id = info.id;
  model.plan = make_plan(info, shards);
  model.encoder =
      Encoder(model.setup.options.compression, info.parameters, options_.agent.self.index);
  model.versions.assign(model.plan.chunks.size(), 0);
  if (options_.agent.self.index == 0) {
    assign_all(index, now, out);
  } else {
    pull_all(index, wire::kFlagJoin, now, out);
  }
}

// --- operations
// ----------------------------------------------------------------------------------------------

std::size_t Worker::add_model(Ticket ticket,
                              ModelSetup setup,
                              TimePoint now,
                              cluster::Outbox& out) {
  open_.insert(ticket);
  auto model = std::make_unique<Model>();
  model->ticket = ticket;
  model->setup = std::move(setup);
  models_.push_back(std::move(model));
  Model& added = *models_.back();
  if (failed_) {
    check_failure(now, out);
  } else {
    added.register_ask = agent_.ask(wire::Register{added.setup.name, added.setup.options,
                                                   added.setup.parameters, added.setup.checkpoint},
                                    now, out);
    on_view(now, out);
  }
  return models_.size() - 1;
}

void Worker::collective(Ticket ticket,
                        std::vector<double> values,
                        TimePoint now,
                        cluster::Outbox& out) {
  open_.insert(ticket);
  if (failed_) return check_failure(now, out);
  retire(now, out);
  const std::uint64_t index = next_collective_++;
  collectives_[ticket] = {index, agent_.ask(wire::Collective{index, std::move(values)}, now, out)};
}

// A collective is over. Models that had retired for it join again, with weights as fresh as the
// others have by now, before the caller hears of it: its next step reads them.
void Worker::come_back(Ticket ticket,
                       std::vector<double> values,
                       TimePoint now,
                       cluster::Outbox& out) {
  Outcome outcome;
  outcome.values = std::move(values);
  coming_back_.emplace(ticket, std::move(outcome));
  for (std::size_t index = 0; index < models_.size() && collectives_.empty(); ++index) {
    Model& model = *models_[index];
    if (!model.retired) continue;
    model.retired = false;
    model.comes_back = true;
    pull_all(index, wire::kFlagJoin, now, out);
  }
  finish_collectives();
}

void Worker::finish_collectives() {
  if (std::ranges::any_of(models_, [](const auto& model) { return model->comes_back; })) return;
  for (auto& [ticket, outcome] : std::exchange(coming_back_, {}))
    finish(ticket, std::move(outcome));
}

void Worker::lease(Ticket ticket, wire::LeaseRequest request, TimePoint now, cluster::Outbox& out) {
  open_.insert(ticket);
  if (failed_) return check_failure(now, out);
  request.index = next_lease_++;
  leases_[ticket] = {request.index, agent_.ask(request, now, out)};
}

void Worker::leave(Ticket ticket, TimePoint now, cluster::Outbox& out) {
  open_.insert(ticket);
  if (failed_) return check_failure(now, out);
  leaving_ = ticket;
  leave_ask_ = agent_.ask(wire::Leave{}, now, out);
}

void Worker::abort(const std::string& reason, TimePoint now, cluster::Outbox& out) {
  fail(ErrorCode::kAborted, reason, now, out);
}

// --- the end
// -------------------------------------------------------------------------------------------------

void Worker::fail(ErrorCode code, const std::string& text, TimePoint now, cluster::Outbox& out) {
  agent_.fail(code, text);
  check_failure(now, out);
}

// Tells the scheduler (unless it told us) and ends every open operation with the reason.
void Worker::check_failure(TimePoint now, cluster::Outbox& out) {
  if (!agent_.failure()) return;
  const cluster::Failure failure = *agent_.failure();
  if (!failed_) {
    failed_ = true;
    finished_ = true;
    const bool told = agent_.view().phase == wire::View::Phase::kStopping;
    if (!told) agent_.leave(true, failure.text, now, out);
    out.note(LogLevel::kError, failure.text);
  }
  for (const Ticket ticket : std::set<Ticket>(open_)) {
    Outcome outcome;
    outcome.failure = failure;
    finish(ticket, std::move(outcome));
  }
}

void Worker::finish(Ticket ticket, Outcome outcome) {
  if (open_.erase(ticket) == 0) return;
  events_.done(ticket, std::move(outcome));
}

}  // namespace ps::worker
