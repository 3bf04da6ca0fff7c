// Steps on their way out: which bucket leaves when, and what is in it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "optim/modes.h"
#include "optim/optimizer.h"
#include "worker/worker.h"

namespace ps::worker {
// --- steps
// ---------------------------------------------------------------------------------------------------

void Worker::begin_step(std::size_t index,
                        const StepBegin& begin,
                        TimePoint now,
                        cluster::Outbox& out) {
  Model& model = *models_[index];
  if (failed_) return;
  PS_ASSERT(model.state == Model::State::kReady && !model.step.active(),
            "one step at a time, after the start");
  if (model.retired) {
    // The shards stopped counting this worker; it starts again where the others are.
    model.retired = false;
    announce(index, wire::Type::kPull, wire::kFlagJoin, now, out);
  }
  std::ranges::fill(model.handed, Memory{});
  model.step.begin(model.plan, begin,
                   {.whole = clips(model), .early = arrives_early(model, begin)});
  agent_.set_progress(model.clock, "step");
}

void Worker::ready(std::size_t index,
                   std::uint32_t parameter,
                   TimePoint now,
                   cluster::Outbox& out) {
  if (failed_) return;
  Model& model = *models_[index];
  for (const std::uint32_t bucket : model.step.settle(model.plan, parameter, true))
    enqueue(index, bucket, now, out);
}

void Worker::ready_encoded(
    std::size_t index, std::uint32_t parameter, Memory bytes, TimePoint now, cluster::Outbox& out) {
  if (failed_) return;
  Model& model = *models_[index];
  PS_ASSERT(parameter < model.handed.size() && bytes.size() == model.encodings[parameter].bytes,
            "as encodings() said");
  model.handed[parameter] = std::move(bytes);
  ready(index, parameter, now, out);
}

void Worker::skip(std::size_t index, std::uint32_t parameter, TimePoint now, cluster::Outbox& out) {
  if (failed_) return;
  Model& model = *models_[index];
  for (const std::uint32_t bucket : model.step.settle(model.plan, parameter, false))
    enqueue(index, bucket, now, out);
}

void Worker::end_step(Ticket ticket, std::size_t index, TimePoint now, cluster::Outbox& out) {
  open_.insert(ticket);
  if (failed_) return check_failure(now, out);
  Model& model = *models_[index];
  model.step.ticket = ticket;
  const std::vector<std::uint32_t> complete = model.step.end(model.plan);
  tell_arrived(model, model.step.arrived());
  if (clips(model)) clip(model);
  for (const std::uint32_t bucket : complete) enqueue(index, bucket, now, out);
  for (std::size_t shard = 0; shard < shards_.size(); ++shard) pump_queue(shard, now, out);
  agent_.set_progress(model.clock, "push_pull");
  if (model.plan.buckets.empty()) on_all_answered(index, now, out);
}

// Not with backup workers, where a step that came late fetches all weights once more, nor where
// what arrives are not the weights that the program reads.
bool Worker::arrives_early(const Model& model, const StepBegin& begin) {
  const auto* sync = std::get_if<Sync>(&model.setup.options.mode);
  return begin.verb == Verb::kPushPull && (sync == nullptr || sync->backup_workers == 0) &&
         !optim::updates_on_workers(model.setup.options);
}

// In sync mode the servers clip the mean of all workers.
bool Worker::clips(const Model& model) {
  const ModelOptions& options = model.setup.options;
  return options.clip_norm > 0 && !std::holds_alternative<Sync>(options.mode) &&
         !optim::updates_on_workers(options);
}

// Scales the step's whole gradient, where it lies, down to clip_norm. Not finite: left for the
// shards to refuse.
void Worker::clip(Model& model) {
  double total = 0;
  const auto each_trained = [&](const auto& visit) {
    for (std::uint32_t i = 0; i < model.setup.parameters.size(); ++i) {
      if (model.setup.parameters[i].kind == ParameterKind::kTrained && model.step.touched(i))
        visit(model.setup.gradients[i].as<float>());
    }
  };
  each_trained([&](std::span<float> g) { total += optim::Optimizer::sum_of_squares(g); });
  if (!std::isfinite(total)) return;
  const float factor = optim::Optimizer::clip_factor(total, model.setup.options.clip_norm);
  if (factor == 1.0F) return;
  each_trained([&](std::span<float> g) {
    for (float& value : g) value *= factor;
  });
}

void Worker::pull(
    Ticket ticket, std::size_t index, wire::Part part, TimePoint now, cluster::Outbox& out) {
  open_.insert(ticket);
  if (failed_) return check_failure(now, out);
  models_[index]->ticket = ticket;
  pull_all(index, 0, now, out, part);
}

void Worker::measures(Ticket ticket, std::size_t index, TimePoint now, cluster::Outbox& out) {
  open_.insert(ticket);
  if (failed_) return check_failure(now, out);
  Model& model = *models_[index];
  model.ticket = ticket;
  model.measured.clear();
  for (std::uint32_t shard = 0; shard < shards_.size(); ++shard) {
    if (model.plan.buckets_of_shard[shard] == 0) continue;
    wire::Message message;
    message.header.type = wire::Type::kPull;
    message.header.model = model.id;
    message.header.shard = shard;
    message.header.clock = model.clock;
    message.header.flags = wire::kFlagMeasures;
    request(index, shard, std::move(message), 0, now, out);
  }
  if (model.plan.buckets.empty()) on_all_answered(index, now, out);
}

void Worker::encodings(Ticket ticket, std::size_t index, TimePoint now, cluster::Outbox& out) {
  open_.insert(ticket);
  if (failed_) return check_failure(now, out);
  Model& model = *models_[index];
  const Plan& plan = model.plan;
  model.encodings.clear();
  for (std::uint32_t i = 0; i < model.setup.parameters.size(); ++i) {
    const auto chunks =
        std::span(plan.chunks)
            .subspan(plan.first_chunk[i], plan.first_chunk[i + 1] - plan.first_chunk[i]);
    model.encodings.push_back(clips(model) ? Encoding{} : model.encoder.encoding_of(chunks));
  }
  model.handed.resize(model.encodings.size());
  Outcome outcome;
  outcome.encodings = model.encodings;
  finish(ticket, std::move(outcome));
}

void Worker::clock_now(Ticket ticket, std::size_t index, TimePoint now, cluster::Outbox& out) {
  open_.insert(ticket);
  if (failed_) return check_failure(now, out);
  Outcome outcome;
  outcome.clock = models_[index]->clock;
  finish(ticket, std::move(outcome));
}

void Worker::enqueue(std::size_t index, std::uint32_t bucket, TimePoint now, cluster::Outbox& out) {
  const std::uint32_t shard = models_[index]->plan.buckets[bucket].shard;
  shards_[shard].queue.insert({index, bucket});
  pump_queue(shard, now, out);
}

// Sends what may leave, early layers first, as far as the credit goes. A bucket larger than the
// whole window leaves when nothing else is in flight. One that may not leave yet, because its step
// has not ended, does not hold back another model's.
void Worker::pump_queue(std::size_t shard, TimePoint now, cluster::Outbox& out) {
  ShardLink& link = shards_[shard];
  for (auto next = link.queue.begin(); next != link.queue.end();) {
    const auto [index, bucket] = *next;
    const Model& model = *models_[index];
    if (!model.step.may_leave(model.plan, bucket)) {
      ++next;
      continue;
    }
    const std::size_t bytes = model.plan.buckets[bucket].bytes;
    if (link.in_flight > 0 && link.in_flight + bytes > options_.credit_bytes) return;
    next = link.queue.erase(next);
    send_bucket(index, bucket, now, out);
  }
}

void Worker::send_bucket(std::size_t index,
                         std::uint32_t number,
                         TimePoint now,
                         cluster::Outbox& out) {
  Model& model = *models_[index];
  const Bucket& bucket = model.plan.buckets[number];
  const bool last = model.step.leaves(model.plan, number);
  const bool pulls = model.step.how().verb == Verb::kPushPull;
  wire::Message push = make_message(index, pulls ? wire::Type::kPushPull : wire::Type::kPush,
                                    bucket, Which::kTouched, true);
  if (push.segments.empty()) push.header.type = wire::Type::kPush;
  if (last) push.header.flags |= wire::kFlagEndOfStep;
  if (!push.segments.empty() || last) {
    const std::size_t credit = push.payload.size();
    if (shards_[bucket.shard].in_flight + credit > options_.credit_bytes / 2)
      push.header.flags |= wire::kFlagReceipt;
    request(index, bucket.shard, std::move(push), credit, now, out);
  }
  if (last && pulls) pull_skipped(index, bucket.shard, now, out);
}

// The weights of what this step did not touch are wanted all the same, as they are after the step.
void Worker::pull_skipped(std::size_t index,
                          std::uint32_t shard,
                          TimePoint now,
                          cluster::Outbox& out) {
  Model& model = *models_[index];
  for (const Bucket& bucket : model.plan.buckets) {
    if (bucket.shard != shard) continue;
    wire::Message pull = make_message(index, wire::Type::kPull, bucket, Which::kSkipped, false);
    pull.header.clock = model.clock + 1;
    if (!pull.segments.empty()) request(index, shard, std::move(pull), 0, now, out);
  }
}

wire::Message Worker::make_message(
    std::size_t index, wire::Type type, const Bucket& bucket, Which which, bool payload) {
  Model& model = *models_[index];
  wire::Message message;
  message.header.type = type;
  message.header.model = model.id;
  message.header.shard = bucket.shard;
  message.header.clock = model.clock;
  if (type == wire::Type::kPush || type == wire::Type::kPushPull) {
    message.header.weight = model.step.how().weight;
    message.header.samples = model.step.how().samples;
  }
  const bool pushes = payload && type != wire::Type::kAssign;
  std::vector<std::uint32_t> chunks;
  bool encoded = false;
  for (const std::uint32_t at : bucket.chunks) {
    const cluster::Chunk& chunk = model.plan.chunks[at];
    if (which != Which::kAll && model.step.touched(chunk.parameter) != (which == Which::kTouched))
      continue;
    chunks.push_back(at);
    // A pull for what a step did not touch asks for what the step would have brought.
    const wire::Codec codec = pushes                     ? model.encoder.codec_of(chunk)
                              : which == Which::kSkipped ? model.encoder.pull_codec_of(chunk)
                                                         : wire::Codec::kFloat32;
    const bool plain = codec == wire::Codec::kFloat32 && !came_encoded(model, chunk.parameter);
    encoded = encoded || (pushes && !plain);
    message.segments.push_back({.parameter = chunk.parameter,
                                .codec = codec,
                                .offset = chunk.offset,
                                .count = chunk.count,
                                .bytes = payload ? model.encoder.bytes_of(chunk, codec) : 0U,
                                .version = model.versions[at]});
  }
  if (encoded) {
    message.payload = encode(model, message.segments);
  } else if (payload) {
    message.payload =
        gather(type == wire::Type::kAssign ? model.setup.weights : model.setup.gradients,
               model.plan, chunks);
  }
  return message;
}

bool Worker::came_encoded(const Model& model, std::uint32_t parameter) {
  return parameter < model.handed.size() && model.handed[parameter].size() > 0;
}

// The segment's bytes where its owner has put them; REQUIRES came_encoded().
Buffer Worker::handed_over(const Model& model, const wire::Segment& segment) {
  const std::uint32_t first = model.plan.first_chunk[segment.parameter];
  const auto& pieces = model.encodings[segment.parameter].pieces;
  const EncodedPiece& piece = pieces[model.plan.find(segment).value() - first];
  return model.handed[segment.parameter].buffer(piece.at, piece.bytes);
}

// The segments' gradients, each as its codec says. Once a step: a repeat of the message has these
// bytes. Those that came encoded: the memory itself if it is one piece.
Buffer Worker::encode(Model& model, const std::vector<wire::Segment>& segments) {
  if (segments.size() == 1 && came_encoded(model, segments.front().parameter))
    return handed_over(model, segments.front());
  std::size_t bytes = 0;
  for (const wire::Segment& segment : segments) bytes += segment.bytes;
  const Memory packed = pool_.acquire(bytes);
  std::size_t position = 0;
  for (const wire::Segment& segment : segments) {
    const auto to = packed.bytes().subspan(position, segment.bytes);
    if (came_encoded(model, segment.parameter)) {
      std::memcpy(to.data(), handed_over(model, segment).data(), to.size());
    } else {
      model.encoder.encode(segment, model.clock, model.setup.gradients[segment.parameter], to);
    }
    position += segment.bytes;
  }
  return packed.buffer(0, bytes);
}

// The chunks' bytes, one after the other: the memory itself if it is one piece, else a copy.
Buffer Worker::gather(const std::vector<Memory>& source,
                      const Plan& plan,
                      const std::vector<std::uint32_t>& chunks) {
  const auto piece = [&](std::uint32_t at) {
    const cluster::Chunk& chunk = plan.chunks[at];
    return source[chunk.parameter].buffer(chunk.offset * sizeof(float),
                                          chunk.count * sizeof(float));
  };
  if (chunks.empty()) return {};
  if (chunks.size() == 1) return piece(chunks.front());
  std::size_t bytes = 0;
  for (const std::uint32_t at : chunks) bytes += plan.chunks[at].count * sizeof(float);
  const Memory packed = pool_.acquire(bytes);
  std::size_t position = 0;
  for (const std::uint32_t at : chunks) {
    const Buffer from = piece(at);
    std::memcpy(packed.bytes().data() + position, from.data(), from.size());
    position += from.size();
  }
  return packed.buffer();
}

// In ssp mode a worker that takes no step for a while must not hold back the others, and with
// backup workers a round must not wait for it.
void Worker::retire(TimePoint now, cluster::Outbox& out) {
  for (std::size_t index = 0; index < models_.size(); ++index) {
    Model& model = *models_[index];
    if (model.retired || model.state != Model::State::kReady || model.step.active()) continue;
    const auto* sync = std::get_if<Sync>(&model.setup.options.mode);
    const bool waited_for = std::holds_alternative<Ssp>(model.setup.options.mode) ||
                            (sync != nullptr && sync->backup_workers > 0);
    if (!waited_for) continue;
    model.retired = true;
    announce(index, wire::Type::kPush, wire::kFlagRetire, now, out);
  }
}

// Tells every shard that holds a part of the model something, without data.
void Worker::announce(
    std::size_t index, wire::Type type, std::uint8_t flag, TimePoint now, cluster::Outbox& out) {
  const Model& model = *models_[index];
  for (std::uint32_t shard = 0; shard < shards_.size(); ++shard) {
    if (model.plan.buckets_of_shard[shard] == 0) continue;
    wire::Message message;
    message.header.type = type;
    message.header.model = model.id;
    message.header.shard = shard;
    message.header.clock = model.clock;
    message.header.flags = flag;
    request(kNobody, shard, std::move(message), 0, now, out);
  }
}

}  // namespace ps::worker
