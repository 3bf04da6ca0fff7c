// The worker's requests: out to the shards, again if need be, and their answers.
#include <algorithm>
#include <cstring>
#include <utility>

#include "optim/modes.h"
#include "worker/worker.h"

namespace ps::worker {
namespace {

// What a shard that has no room or no model yet is given before the same request goes out again.
constexpr Duration kBusyPause = std::chrono::milliseconds(20);

}  // namespace

// --- requests and replies
// ------------------------------------------------------------------------------------

void Worker::request(std::size_t index,
                     std::uint32_t shard,
                     wire::Message message,
                     std::size_t credit,
                     TimePoint now,
                     cluster::Outbox& out) {
  ShardLink& link = shards_[shard];
  if (index != kNobody) ++models_[index]->outstanding;
  link.in_flight += credit;
  const std::uint64_t sequence = link.requests.add(std::move(message), index, credit, now);
  transmit(shard, link.requests.find(sequence)->message, out);
}

void Worker::transmit(std::size_t shard, const wire::Message& message, cluster::Outbox& out) {
  wire::Message copy = message;
  agent_.stamp(copy.header);
  copy.header.first_incomplete = shards_[shard].requests.first_incomplete();
  out.send(link_of(shard), std::move(copy));
}

void Worker::check_requests(std::size_t shard, TimePoint now, cluster::Outbox& out) {
  ShardLink& link = shards_[shard];
  if (link.requests.expired(now) != nullptr) {
    fail(ErrorCode::kTimeout,
         "shard " + std::to_string(shard) + " at " + agent_.view().shards[shard].endpoint +
             " has given no sign of life for " +
             std::to_string(static_cast<int>(seconds(options_.agent.timing.deadline))) +
             " s; its server hangs, died, or cannot be reached",
         now, out);
    return;
  }
  const auto due = link.requests.due(now);
  if (due.empty()) return;
  const Duration suspect = options_.agent.timing.suspect;
  if (now - link.last_heard >= suspect && now - link.last_renewed >= suspect) {
    link.last_renewed = now;
    out.connect(link_of(shard), agent_.view().shards[shard].endpoint);
  }
  for (const auto& [sequence, resend] : due) {
    const wire::Message& message = link.requests.find(sequence)->message;
    if (resend) {
      transmit(shard, message, out);
      continue;
    }
    wire::Message query;
    query.header.type = wire::Type::kQuery;
    query.header.model = message.header.model;
    query.header.shard = message.header.shard;
    query.header.sequence = sequence;
    transmit(shard, query, out);
  }
}

void Worker::on_reply(std::size_t shard,
                      const wire::Message& reply,
                      TimePoint now,
                      cluster::Outbox& out) {
  if (failed_ || shard >= shards_.size() || reply.header.type != wire::Type::kReply) return;
  if (reply.header.job != options_.agent.job ||
      reply.header.incarnation != agent_.view().shards[shard].incarnation)
    return;
  ShardLink& link = shards_[shard];
  link.last_heard = now;
  auto* pending = link.requests.find(reply.header.sequence);
  if (pending == nullptr) return;  // a second answer to something done
  switch (reply.header.status) {
    case wire::Status::kUnknown:
      link.requests.heard(*pending, now);
      transmit(shard, pending->message, out);
      return;
    case wire::Status::kNotReady:
    case wire::Status::kBusy:
      link.requests.again(*pending, now, kBusyPause);
      return;
    case wire::Status::kWorking:
      link.requests.heard(*pending, now);
      link.in_flight -= std::exchange(pending->credit, 0);
      pump_queue(shard, now, out);
      return;
    case wire::Status::kFenced:
      fail(ErrorCode::kUnavailable,
           "this worker was declared dead, because it was silent for too long, or another process "
           "has taken its rank",
           now, out);
      return;
    case wire::Status::kRefused:
      fail(ErrorCode::kMismatch,
           "shard " + std::to_string(shard) + " refused a request: " +
               std::string(reinterpret_cast<const char*>(reply.payload.data()),
                           reply.payload.size()),
           now, out);
      return;
    case wire::Status::kOk:
    case wire::Status::kNonfinite:
    case wire::Status::kLate:
    case wire::Status::kStale:
    case wire::Status::kSkipped:
      break;
  }
  link.in_flight -= pending->credit;
  const auto owner = static_cast<std::size_t>(pending->owner);
  const wire::Message request = std::move(pending->message);
  link.requests.erase(reply.header.sequence);
  if (owner != kNobody) on_answered(*models_[owner], request, reply, now, out);
  if (failed_) return;
  pump_queue(shard, now, out);
  if (owner != kNobody && models_[owner]->outstanding == 0) on_all_answered(owner, now, out);
}

void Worker::on_answered(Model& model,
                         const wire::Message& request,
                         const wire::Message& reply,
                         TimePoint now,
                         cluster::Outbox& out) {
  --model.outstanding;
  const bool is_push =
      request.header.type == wire::Type::kPush || request.header.type == wire::Type::kPushPull;
  if (is_push) {
    StepResult& result = model.step.result;
    result.staleness = std::max<std::uint64_t>(result.staleness, reply.header.samples);
    result.staleness_sum +=
        static_cast<double>(reply.header.samples) * static_cast<double>(request.segments.size());
    result.chunks += request.segments.size();
    // A message of averages alone has no rate.
    if (reply.header.weight > 0) result.lr = static_cast<float>(reply.header.weight);
    if (reply.header.status == wire::Status::kNonfinite) ++result.nonfinite;
    if (reply.header.status == wire::Status::kLate) ++result.late;
    if (reply.header.status == wire::Status::kStale) ++result.stale;
    if (reply.header.status == wire::Status::kSkipped) ++result.skipped;
  }
  if ((request.header.flags & wire::kFlagMeasures) != 0) {
    std::vector<double> sums(reply.payload.size() / sizeof(double));
    std::memcpy(sums.data(), reply.payload.data(), sums.size() * sizeof(double));
    model.measured.resize(std::max(model.measured.size(), sums.size()));
    for (std::size_t i = 0; i < sums.size(); ++i) model.measured[i] += sums[i];
    return;
  }
  if (model.rejoin) model.clock = std::max(model.clock, reply.header.clock);
  const bool wants_weights =
      request.header.type == wire::Type::kPull || request.header.type == wire::Type::kPushPull;
  if (!wants_weights) return;
  const bool whole = reply.segments.size() == request.segments.size();
  const bool right = model.saving ? whole && take_parts(model, request, reply)
                                  : whole && take_weights(model, reply);
  if (!right) {
    fail(ErrorCode::kInternal, "a shard answered with other weights than it was asked for", now,
         out);
  }
}

// Copies the reply's weights to where the user reads them.
bool Worker::take_weights(Model& model, const wire::Message& reply) {
  std::size_t position = 0;
  std::vector<std::uint32_t> arrived;
  for (const wire::Segment& segment : reply.segments) {
    const auto at = model.plan.find(segment);
    if (!at || segment.bytes != wire::encoded_bytes(segment.codec, segment.count)) return false;
    const auto from = reply.payload.bytes().subspan(position, segment.bytes);
    const auto to = model.setup.weights[segment.parameter].bytes().subspan(
        segment.offset * sizeof(float), segment.count * sizeof(float));
    if (segment.codec == wire::Codec::kFloat32) {
      std::memcpy(to.data(), from.data(), from.size());
    } else if (!model.encoder.decode_weights(segment, from, to)) {
      return false;
    }
    model.versions[*at] = segment.version;
    position += segment.bytes;
    if (model.step.arrive(segment.parameter)) arrived.push_back(segment.parameter);
  }
  tell_arrived(model, arrived);
  return true;
}

// Before the step's end nobody can ask; it then tells of what has come until then.
void Worker::tell_arrived(const Model& model, const std::vector<std::uint32_t>& parameters) {
  if (!parameters.empty() && model.step.ended()) events_.arrived(model.step.ticket, parameters);
}

// A round went on without this worker: its weights may be of different rounds by now. Pulls until
// they are all of the newest one that it has seen.
bool Worker::catch_up(std::size_t index, TimePoint now, cluster::Outbox& out) {
  Model& model = *models_[index];
  if (!model.step.active() || model.step.result.late == 0 || model.versions.empty()) return false;
  const auto [oldest, newest] = std::ranges::minmax_element(model.versions);
  const bool behind = *newest <= model.clock;  // it only pushed
  if (*oldest == *newest && !behind) return false;
  model.wanted = behind ? model.clock + 1 : *newest;
  pull_all(index, 0, now, out);
  return true;
}

// Every request of what was going on has its answer: the next thing happens.
void Worker::on_all_answered(std::size_t index, TimePoint now, cluster::Outbox& out) {
  Model& model = *models_[index];
  if (model.state == Model::State::kAssigning) {
    model.setup.initial = {};  // the shards have it
    return pull_all(index, wire::kFlagJoin, now, out);
  }
  if (model.step.active() && !model.step.all_left()) return;
  const bool sync = optim::has_rounds(model.setup.options.mode);
  if (sync && catch_up(index, now, out)) return;
  StepResult result = model.step.result;
  result.version = model.versions.empty() ? 0 : *std::ranges::min_element(model.versions);
  Ticket ticket = model.ticket;
  if (model.step.active()) {
    model.step.close();
    model.clock = sync && result.late > 0 ? result.version : model.clock + 1;
    ticket = model.step.ticket;
    agent_.set_progress(model.clock, phase_);
  } else if (model.rejoin && sync) {
    model.clock = result.version;  // the round that is not committed everywhere yet
  }
  model.rejoin = false;
  model.state = Model::State::kReady;
  if (std::exchange(model.comes_back, false)) return finish_collectives();
  Outcome outcome;
  outcome.step = result;
  outcome.values = std::exchange(model.measured, {});
  if (model.saving) outcome.snapshot = *std::exchange(model.saving, std::nullopt);
  if (std::exchange(model.torn, false)) {
    outcome.failure = cluster::Failure{
        ErrorCode::kUnavailable,
        "a chunk of model '" + model.setup.name +
            "' does not fit one message with all that is kept of it, and changed between two: let "
            "all workers wait in barrier(), or take a smaller chunk_bytes"};
  }
  finish(ticket, std::move(outcome));
}

}  // namespace ps::worker
