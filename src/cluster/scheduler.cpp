#include "cluster/scheduler.h"

#include <algorithm>
#include <utility>

#include <ps/error.h>

#include "cluster/agent.h"
#include "cluster/placement.h"
#include "wire/control.h"

namespace ps::cluster {
namespace {

// How long the end waits at most for members that do not confirm it: time for some repetitions.
constexpr Duration kFarewell = std::chrono::milliseconds(3000);

}  // namespace

Scheduler::Scheduler(const Options& options)
    : options_(options),
      workers_(options.workers),
      shards_(options.shards),
      collectives_(options.workers) {
  view_.workers.resize(options.workers);
  view_.shards.resize(options.shards);
}

void Scheduler::on_start(TimePoint now, Outbox& out) {
  started_ = now;
  next_check_ = now + options_.timing.heartbeat;
  out.note(LogLevel::kInfo, "waiting for " + std::to_string(options_.workers) + " workers and " +
                                std::to_string(options_.shards) + " shards");
}

Scheduler::Member* Scheduler::member(const wire::Sender& sender) {
  auto& members = sender.role == wire::Role::kWorker ? workers_ : shards_;
  if (sender.role == wire::Role::kScheduler || sender.index >= members.size()) return nullptr;
  return &members[sender.index];
}

void Scheduler::on_message(net::Link from, wire::Message message, TimePoint now, Outbox& out) {
  if (message.header.type != wire::Type::kControl) return;
  auto decoded = wire::decode_control(message.payload.bytes());
  if (const auto* error = std::get_if<wire::DecodeError>(&decoded)) {
    refuse(from, ErrorCode::kMismatch,
           "the scheduler could not read a message: " + wire::to_string(*error), out);
    return;
  }
  const auto& control = std::get<wire::Control>(decoded);
  const wire::Header& header = message.header;
  if (header.job != options_.job) {
    refuse(from, ErrorCode::kMismatch, "this scheduler runs another job: check cluster.job_id",
           out);
    return;
  }
  if (const auto* join = std::get_if<wire::Join>(&control)) {
    on_join(from, header, *join, now, out);
    return;
  }
  Member* sender = member(header.sender);
  if (sender == nullptr || !sender->joined || sender->dead ||
      header.incarnation != sender->incarnation) {
    refuse(from, ErrorCode::kUnavailable,
           name_of(header.sender) +
               " is no member (any more): it was silent for longer than the lease, or another "
               "process has taken its place",
           out);
    return;
  }
  sender->last_heard = now;
  sender->link = from;
  const std::uint32_t index = header.sender.index;
  if (const auto* heartbeat = std::get_if<wire::Heartbeat>(&control))
    on_heartbeat(*sender, *heartbeat, out);
  if (const auto* leave = std::get_if<wire::Leave>(&control))
    on_leave(header.sender, *leave, now, out);
  if (header.sender.role == wire::Role::kServer) {
    if (const auto* allocated = std::get_if<wire::Allocated>(&control))
      on_allocated(index, allocated->model, out);
    if (const auto* part = std::get_if<wire::RoundPart>(&control))
      on_round_part(index, *part, now, out);
    return;
  }
  if (const auto* request = std::get_if<wire::Register>(&control))
    on_register(index, *request, now, out);
  if (const auto* collective = std::get_if<wire::Collective>(&control))
    on_collective(index, *collective, now, out);
  if (const auto* request = std::get_if<wire::LeaseRequest>(&control))
    on_lease(*sender, index, *request, now, out);
}

void Scheduler::on_bad_message(net::Link /*from*/,
                               const wire::DecodeError& error,
                               TimePoint /*now*/,
                               Outbox& out) {
  out.note(LogLevel::kWarn, "a peer sent bytes that are no message: " + wire::to_string(error));
}

// --- models
// --------------------------------------------------------------------------------------------------

void Scheduler::on_register(std::uint32_t rank,
                            const wire::Register& request,
                            TimePoint now,
                            Outbox& out) {
  const auto known = std::ranges::find(registrations_, request.name,
                                       [](const Registration& r) { return r.first.name; });
  if (known == registrations_.end()) {
    create_model(rank, request);
    if (const std::string problem = wire::problem(view_); !problem.empty()) {
      view_.models.pop_back();
      registrations_.pop_back();
      refuse(workers_[rank].link, ErrorCode::kInvalidArgument,
             "model '" + request.name + "' does not fit in the job: " + problem, out);
      return;
    }
    publish(out);
    return;
  }
  if (const std::string difference = wire::difference(known->first, request); !difference.empty()) {
    end(true,
        "model '" + request.name + "' differs between worker " + std::to_string(known->first_rank) +
            " (there) and worker " + std::to_string(rank) + " (here): " + difference,
        now, out);
    return;
  }
  const bool again = known->registered[rank];
  known->registered[rank] = true;
  if (again) reply(workers_[rank].link, view_, out);
  const auto index = static_cast<std::size_t>(known - registrations_.begin());
  on_allocated(options_.shards, view_.models[index].id, out);
}

void Scheduler::create_model(std::uint32_t rank, const wire::Register& request) {
  wire::ModelInfo model;
  model.id = static_cast<std::uint16_t>(view_.models.size());
  model.name = request.name;
  model.options = request.options;
  model.parameters = request.parameters;
  model.options.chunk_bytes = chunk_bytes(request.parameters, request.options.chunk_bytes);
  model.placement =
      place(chunks_of(request.parameters, model.options.chunk_bytes), options_.shards);
  view_.models.push_back(std::move(model));
  Registration registration{request, rank, std::vector<bool>(options_.workers),
                            std::vector<bool>(options_.shards), std::nullopt};
  if (std::holds_alternative<Sync>(request.options.mode))
    registration.rounds.emplace(view_.models.back(), options_.workers);
  registration.registered[rank] = true;
  registrations_.push_back(std::move(registration));
}

// A model is ready when all shards have allocated it and all workers have registered it. `shard`
// may be out of range, when it is the latter that has changed.
void Scheduler::on_allocated(std::uint32_t shard, std::uint16_t model, Outbox& out) {
  if (model >= registrations_.size()) return;
  Registration& registration = registrations_[model];
  if (shard < options_.shards) registration.allocated[shard] = true;
  const auto yes = [](bool b) { return b; };
  wire::ModelInfo& info = view_.models[model];
  if (info.ready) {
    if (shard < options_.shards) reply(shards_[shard].link, view_, out);
    return;
  }
  if (!std::ranges::all_of(registration.allocated, yes) ||
      !std::ranges::all_of(registration.registered, yes))
    return;
  info.ready = true;
  publish(out);
}

// What the shards of a model must agree on in a round: the same answer for all of them.
void Scheduler::on_round_part(std::uint32_t shard,
                              const wire::RoundPart& part,
                              TimePoint now,
                              Outbox& out) {
  const bool known = part.model < registrations_.size() && registrations_[part.model].rounds;
  Rounds::Outcome outcome;
  if (known) outcome = registrations_[part.model].rounds->take(shard, part);
  if (!known || !outcome.error.empty()) {
    end(true,
        "shard " + std::to_string(shard) + " sent a part of round " + std::to_string(part.round) +
            " that makes no sense: " + (known ? outcome.error : "there is no such sync model"),
        now, out);
    return;
  }
  if (!outcome.result) return;
  if (!outcome.news) return reply(shards_[shard].link, *outcome.result, out);
  for (const std::uint32_t each : registrations_[part.model].rounds->shards())
    reply(shards_[each].link, *outcome.result, out);
}

// --- workers' requests
// ---------------------------------------------------------------------------------------

void Scheduler::on_collective(std::uint32_t rank,
                              const wire::Collective& collective,
                              TimePoint now,
                              Outbox& out) {
  const auto outcome = collectives_.contribute(rank, collective.index, collective.values);
  if (!outcome.error.empty()) {
    end(true, outcome.error, now, out);
    return;
  }
  if (outcome.sum) {
    const wire::CollectiveResult result{collective.index, *outcome.sum};
    for (std::uint32_t r = 0; r < options_.workers; ++r) {
      if (view_.workers[r].state == wire::WorkerInfo::State::kAlive)
        reply(workers_[r].link, result, out);
    }
    return;
  }
  for (const std::uint32_t r : collectives_.missing(collective.index)) {
    if (view_.workers[r].state != wire::WorkerInfo::State::kLeft) continue;
    end(true,
        "worker " + std::to_string(rank) + " waits in barrier() or reduce() for worker " +
            std::to_string(r) + ", which has finished: all workers must call them equally often",
        now, out);
    return;
  }
}

void Scheduler::on_lease(Member& member,
                         std::uint32_t rank,
                         const wire::LeaseRequest& request,
                         TimePoint now,
                         Outbox& out) {
  if (request.dataset_size == 0 || request.block == 0 || request.epochs == 0) {
    refuse(member.link, ErrorCode::kInvalidArgument, "a lease of no samples was asked for", out);
    return;
  }
  const auto [book, is_new] = leases_.try_emplace(request.stream, request);
  if (!is_new && !book->second.matches(request)) {
    end(true,
        "worker " + std::to_string(rank) +
            " reads other samples than the others (dataset size, batch or epochs differ)",
        now, out);
    return;
  }
  reply(member.link, book->second.grant(rank, request), out);
}

// --- the end and the view
// ------------------------------------------------------------------------------------

void Scheduler::end(bool failed, const std::string& reason, TimePoint now, Outbox& out) {
  if (view_.phase == wire::View::Phase::kStopping) return;
  view_.phase = wire::View::Phase::kStopping;
  view_.failed = failed;
  view_.reason = reason;
  farewell_ = now + std::min(kFarewell, options_.timing.lease);
  out.note(failed ? LogLevel::kError : LogLevel::kInfo,
           (failed ? "stopping the job: " : "done: ") + reason);
  publish(out);
  if (everyone_knows()) finished_ = true;
}

bool Scheduler::everyone_knows() const {
  const auto knows = [&](const Member& m) {
    return !m.joined || m.dead || m.revision_seen >= view_.revision || m.revision_seen >= m.left_at;
  };
  return std::ranges::all_of(workers_, knows) && std::ranges::all_of(shards_, knows);
}

void Scheduler::publish(Outbox& out) {
  ++view_.revision;
  // Encoded once for all: with many members it is long.
  const wire::Message message = message_of(view_);
  for (const auto* members : {&workers_, &shards_}) {
    for (const Member& m : *members) {
      if (m.joined) out.send(m.link, message);
    }
  }
}

void Scheduler::reply(net::Link to, const wire::Control& control, Outbox& out) const {
  out.send(to, message_of(control));
}

wire::Message Scheduler::message_of(const wire::Control& control) const {
  wire::Message message;
  message.header.type = wire::Type::kControl;
  message.header.job = options_.job;
  message.header.sender = {wire::Role::kScheduler, 0};
  message.header.generation = view_.generation;
  message.payload = wire::encode_control(control);
  return message;
}

void Scheduler::refuse(net::Link to, ErrorCode code, const std::string& text, Outbox& out) const {
  out.note(LogLevel::kWarn, "refused: " + text);
  reply(to, wire::Refused{static_cast<std::uint32_t>(code), text}, out);
}

}  // namespace ps::cluster
