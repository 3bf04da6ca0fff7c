// The shard's requests: arrival, order, answers. What they do to the weights is in
// shard_updates.cpp.
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "server/decode.h"
#include "server/shard.h"

namespace ps::server {
namespace {

bool is_push(wire::Type type) {
  return type == wire::Type::kPush || type == wire::Type::kPushPull;
}
bool wants_weights(wire::Type type) {
  return type == wire::Type::kPull || type == wire::Type::kPushPull;
}

}  // namespace

// --- arrival
// -------------------------------------------------------------------------------------------------

void Shard::on_request(net::Link from, wire::Message message, cluster::Outbox& out) {
  const wire::Header header = message.header;
  if (header.type == wire::Type::kReply || header.type == wire::Type::kControl) return;
  if (const auto status = reject(message)) {
    if (*status == wire::Status::kFenced) ++counters_.fenced;
    reply(from, header, *status, out,
          *status == wire::Status::kRefused ? "this shard belongs to another job" : "");
    return;
  }
  Window& window = workers_[header.sender.index].window;
  if (header.type == wire::Type::kQuery) return on_query(from, message, out);
  if (Model* model = find_model(header.model); model != nullptr && is_push(header.type) &&
                                               !window.knows(header.sequence) &&
                                               !has_room(*model, message)) {
    ++counters_.busy;
    return reply(from, header, wire::Status::kBusy, out);
  }
  switch (window.arrive(message)) {
    case Window::Verdict::kNext:
      break;
    case Window::Verdict::kHeld:
      return;
    case Window::Verdict::kWorking:
      ++counters_.repeated;
      if (const auto found = pending_.find({header.sender.index, header.sequence});
          found != pending_.end()) {
        found->second.link = from;
      }
      return reply(from, header, wire::Status::kWorking, out);
    case Window::Verdict::kAnswered:
      ++counters_.repeated;
      if (planted(PlantedBug::kReplyForgotten)) return;
      return repeat_answer(from, message, *window.answer(header.sequence), out);
    case Window::Verdict::kOld:
      ++counters_.repeated;
      return;
    case Window::Verdict::kFull:
      ++counters_.busy;
      return reply(from, header, wire::Status::kBusy, out);
  }
  process(from, std::move(message), out);
  while (auto next = window.take()) process(from, std::move(*next), out);
}

std::optional<wire::Status> Shard::reject(const wire::Message& message) const {
  const wire::Header& header = message.header;
  if (header.job != options_.agent.job || header.sender.role != wire::Role::kWorker)
    return wire::Status::kRefused;
  if (header.sender.index >= workers_.size()) return wire::Status::kNotReady;
  const WorkerState& worker = workers_[header.sender.index];
  if (planted(PlantedBug::kStaleGeneration)) return std::nullopt;
  // A life that the scheduler has not told us of yet.
  if (header.incarnation == 0 || header.incarnation > worker.incarnation)
    return wire::Status::kNotReady;
  if (header.incarnation < worker.incarnation || worker.dead) return wire::Status::kFenced;
  return std::nullopt;
}

void Shard::on_query(net::Link from, const wire::Message& message, cluster::Outbox& out) {
  const wire::Header& header = message.header;
  Window& window = workers_[header.sender.index].window;
  window.acknowledge(header.first_incomplete);
  const bool open = window.knows(header.sequence) && window.answer(header.sequence) == nullptr;
  if (const auto found = pending_.find({header.sender.index, header.sequence});
      found != pending_.end()) {
    found->second.link = from;
  }
  // An answer that got lost is said again when the request itself comes again: only that names the
  // chunks.
  reply(from, header, open ? wire::Status::kWorking : wire::Status::kUnknown, out);
}

// Says an answer again. The request that came again is looked at afresh: it may differ from the
// first one, if its sender is a liar.
void Shard::repeat_answer(net::Link from,
                          const wire::Message& message,
                          const Answer& answer,
                          cluster::Outbox& out) {
  const Model* model = find_model(message.header.model);
  const std::string fault =
      model == nullptr ? "it names a model that is not here" : find_fault(*model, message);
  if (!fault.empty()) return reply(from, message.header, wire::Status::kRefused, out, fault);
  if (answer.status == wire::Status::kRefused)
    return reply(from, message.header, answer.status, out, "it was refused before");
  send_answer(from, message.header, message.segments, answer, out);
}

// Contributions that wait for their round are limited; the rank that a chunk waits for is always
// let in.
bool Shard::has_room(const Model& model, const wire::Message& message) const {
  // A round that may leave somebody out waits for nobody in particular.
  if (!model.sync || model.agreement.needs().ticket ||
      staged_bytes_ + decoded_bytes(message.segments) <= options_.staging_bytes)
    return true;
  for (const wire::Segment& segment : message.segments) {
    const auto at = model.index.find({segment.parameter, segment.offset});
    if (at != model.index.end() &&
        model.chunks[at->second].round.awaited() == message.header.sender.index)
      return true;
  }
  return false;
}

// --- processing, in the worker's order
// -----------------------------------------------------------------------

void Shard::process(net::Link from, wire::Message message, cluster::Outbox& out) {
  const wire::Header header = message.header;
  const RequestId id{header.sender.index, header.sequence};
  Model* model = find_model(header.model);
  // The window takes a request before the model is looked at: an answer to it must be remembered
  // too.
  workers_[id.rank].window.start(header.sequence);
  std::string fault =
      model == nullptr ? "it names a model that is not here" : find_fault(*model, message);
  if (fault.empty() && is_push(header.type))
    fault = decode(message, model->options.compression, pool_);
  if (!fault.empty()) {
    ++counters_.refused;
    workers_[id.rank].window.finish(header.sequence, {.status = wire::Status::kRefused});
    return reply(from, header, wire::Status::kRefused, out, fault);
  }
  const bool retires = (header.flags & wire::kFlagRetire) != 0;
  if (retires || header.type == wire::Type::kAssign) {  // neither waits for anything
    if (retires) {
      model->gate.leave(id.rank);
      model->agreement.retire(id.rank);
    }
    if (!retires) assign(*model, message, out);
    workers_[id.rank].window.finish(header.sequence, {});
    send_answer(from, header, {}, {}, out);
    if (retires && model->agreement.needs().ticket) advance(*model, out);
    return open_gates(out);
  }
  if ((header.flags & wire::kFlagJoin) != 0) {
    model->gate.join(id.rank);
    model->agreement.join(id.rank);
  }
  Pending& pending = pending_[id];
  pending.header = header;
  pending.segments = message.segments;
  pending.link = from;
  pending.answer.clock = model->gate.clock(id.rank);
  pending.gate_clock = pending.answer.clock;
  if (is_push(header.type)) {
    push(*model, message, pending, out);
  } else {
    for (const wire::Segment& segment : message.segments) {
      Chunk& chunk = *find_chunk(*model, segment);
      const std::uint64_t wanted = model->sync ? header.clock : 0;
      if (chunk.initialised && chunk.version >= wanted) continue;
      chunk.waiters.push_back({id, wanted});
      ++pending.chunks_left;
    }
  }
  const bool receipt = (header.flags & wire::kFlagReceipt) != 0;
  if (!answer_if_done(id, out) && receipt) reply(from, header, wire::Status::kWorking, out);
  open_gates(out);
}

// What is wrong with a request, in words; empty if nothing is.
std::string Shard::find_fault(const Model& model, const wire::Message& message) const {
  if (is_push(message.header.type) && !optim::usable_weight(message.header.weight))
    return "its weight is neither 0 nor between 1e-30 and 1e30";
  std::size_t wanted_bytes = 0;
  for (const wire::Segment& segment : message.segments) {
    if (std::string fault = find_segment_fault(model, message.header.type, segment); !fault.empty())
      return fault;
    wanted_bytes += wire::plain_bytes(segment.codec, segment.count);
    const Chunk& chunk = model.chunks[model.index.at({segment.parameter, segment.offset})];
    if (!is_push(message.header.type)) continue;
    if (segment.part != wire::Part::kWeights) return "a push of something that is no gradient";
    if (!chunk.initialised) return "a push came before the initial values";
    if (segment.version > chunk.version)
      return "a push says it is based on weights that do not exist yet";
    if (model.sync && message.header.clock > chunk.version)
      return "a push is for a round that has not begun";
  }
  if (wanted_bytes > wire::kMaxPayloadBytes) return "it asks for more than a message can hold";
  if (message.header.type == wire::Type::kAssign) return find_assign_fault(model, message);
  return {};
}

// --- answers
// -------------------------------------------------------------------------------------------------

void Shard::wake(Chunk& chunk, cluster::Outbox& out) {
  std::vector<RequestId> done;
  std::erase_if(chunk.waiters, [&](const Waiter& waiter) {
    if (!chunk.initialised || chunk.version < waiter.version) return false;
    done.push_back(waiter.id);
    return true;
  });
  for (const RequestId& id : done) {
    const auto pending = pending_.find(id);
    if (pending == pending_.end()) continue;  // its worker has died
    if (chunk.state.lr > 0) pending->second.answer.lr = chunk.state.lr;
    --pending->second.chunks_left;
    answer_if_done(id, out);
  }
}

// Somebody's clock has moved, or somebody has gone: others may be free to read.
void Shard::open_gates(cluster::Outbox& out) {
  const bool any =
      std::ranges::any_of(models_, [](const auto& model) { return model->gate.bounded(); });
  if (!any) return;
  std::vector<RequestId> ids;
  for (const auto& [id, pending] : pending_) ids.push_back(id);
  for (const RequestId& id : ids) answer_if_done(id, out);
}

bool Shard::answer_if_done(const RequestId& id, cluster::Outbox& out) {
  const auto found = pending_.find(id);
  if (found == pending_.end()) return true;
  const Pending& pending = found->second;
  const Model& model = *find_model(pending.header.model);
  if (pending.chunks_left > 0 || !model.gate.open(id.rank, pending.gate_clock)) return false;
  const Pending done = std::move(found->second);
  pending_.erase(found);
  workers_[id.rank].window.finish(id.sequence, done.answer);
  send_answer(done.link, done.header, done.segments, done.answer, out);
  return true;
}

void Shard::reply(net::Link to,
                  const wire::Header& request,
                  wire::Status status,
                  cluster::Outbox& out,
                  const std::string& text) const {
  wire::Message message;
  message.header.type = wire::Type::kReply;
  message.header.model = request.model;
  message.header.shard = options_.agent.self.index;
  message.header.status = status;
  message.header.sequence = request.sequence;
  agent_.stamp(message.header);
  if (!text.empty()) message.payload = Buffer::copy_of(std::as_bytes(std::span(text)));
  out.send(to, std::move(message));
}

// The weights are the ones of now: in sync mode of the round that the request belongs to, because
// the next one cannot commit without this worker; otherwise at least as new as those it was first
// answered with.
void Shard::send_answer(net::Link to,
                        const wire::Header& request,
                        const std::vector<wire::Segment>& segments,
                        const Answer& answer,
                        cluster::Outbox& out) {
  wire::Message message;
  message.header.type = wire::Type::kReply;
  message.header.model = request.model;
  message.header.shard = options_.agent.self.index;
  message.header.status = answer.status;
  message.header.sequence = request.sequence;
  message.header.clock = answer.clock;
  message.header.samples = answer.staleness;
  message.header.weight = answer.lr;
  agent_.stamp(message.header);
  Model* model = find_model(request.model);
  if ((request.flags & wire::kFlagMeasures) != 0 && segments.empty() && model != nullptr) {
    message.payload = Buffer::copy_of(std::as_bytes(model->measure.sums()));
  } else if (wants_weights(request.type) && model != nullptr &&
             answer.status != wire::Status::kRefused) {
    give(*model, request, segments, message);
  }
  out.send(to, std::move(message));
}

Shard::Chunk* Shard::find_chunk(Model& model, const wire::Segment& segment) {
  const auto at = model.index.find({segment.parameter, segment.offset});
  return at == model.index.end() ? nullptr : &model.chunks[at->second];
}

}  // namespace ps::server
