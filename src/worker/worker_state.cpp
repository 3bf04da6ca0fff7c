// Whole models: initial values out to the shards, weights back, and all that the shards keep.
#include <algorithm>
#include <cstring>
#include <utility>

#include "worker/worker.h"

namespace ps::worker {
namespace {

std::size_t payload_of(const wire::Segment& segment) {
  return wire::encoded_bytes(segment.codec, segment.count);
}

// Messages of one kind, each as full as a message may be.
class Packer {
 public:
  explicit Packer(wire::Message empty) : empty_(std::move(empty)), open_(empty_) {}

  // What belongs together stays together, unless no message can hold it.
  void add(const std::vector<wire::Segment>& segments) {
    std::size_t bytes = 0;
    for (const wire::Segment& segment : segments) bytes += payload_of(segment);
    if (!fits(segments.size(), bytes)) close();
    for (const wire::Segment& segment : segments) {
      if (!fits(1, payload_of(segment))) close();
      open_.segments.push_back(segment);
      bytes_ += payload_of(segment);
    }
  }
  std::vector<wire::Message> take() {
    close();
    return std::move(full_);
  }

 private:
  [[nodiscard]] bool fits(std::size_t segments, std::size_t bytes) const {
    return open_.segments.size() + segments <= wire::kMaxSegments &&
           bytes_ + bytes <= wire::kMaxPayloadBytes;
  }
  void close() {
    if (open_.segments.empty()) return;
    full_.push_back(std::exchange(open_, empty_));
    bytes_ = 0;
  }

  wire::Message empty_;
  wire::Message open_;
  std::size_t bytes_ = 0;
  std::vector<wire::Message> full_;
};

}  // namespace

// Every part of a chunk that is kept on its shard (`carried`: that there are initial values for),
// the weights last.
std::vector<wire::Segment> Worker::segments_of(const Model& model, std::uint32_t at, bool carried) {
  const cluster::Chunk& chunk = model.plan.chunks[at];
  const ModelSetup& setup = model.setup;
  std::vector<wire::Segment> segments;
  std::uint64_t version = model.versions[at];
  const auto add = [&](wire::Part part, wire::Codec codec, std::uint32_t count) {
    wire::Segment segment{.parameter = chunk.parameter,
                          .codec = codec,
                          .part = part,
                          .offset = chunk.offset,
                          .count = count,
                          .version = version};
    if (carried) segment.bytes = static_cast<std::uint32_t>(payload_of(segment));
    segments.push_back(segment);
  };
  const Snapshot::Parameter* initial =
      carried ? &setup.initial.parameters[chunk.parameter] : nullptr;
  if (initial != nullptr) version = counts_of(initial->counts, chunk.offset, chunk.count).version;
  add(wire::Part::kCounters, wire::Codec::kUint64, wire::kCounterCount);
  for (const wire::Part part :
       parts_on_servers(setup.options, setup.parameters[chunk.parameter].kind)) {
    const bool known = part == wire::Part::kWeights || !carried || initial->parts.contains(part);
    if (known) add(part, wire::Codec::kFloat32, chunk.count);
  }
  return segments;
}

std::vector<wire::Message> Worker::make_whole(std::size_t index,
                                              wire::Type type,
                                              const Bucket& bucket) {
  const Model& model = *models_[index];
  const bool carried = type == wire::Type::kAssign;
  wire::Message empty;
  empty.header.type = type;
  empty.header.model = model.id;
  empty.header.shard = bucket.shard;
  empty.header.clock = std::max(model.clock, model.wanted);
  Packer packer(std::move(empty));
  for (const std::uint32_t at : bucket.chunks) packer.add(segments_of(model, at, carried));
  std::vector<wire::Message> messages = packer.take();
  for (wire::Message& message : messages) {
    if (carried) message.payload = initial_values(model, message.segments);
  }
  return messages;
}

Buffer Worker::initial_values(const Model& model, const std::vector<wire::Segment>& segments) {
  std::size_t bytes = 0;
  for (const wire::Segment& segment : segments) bytes += segment.bytes;
  const Memory packed = pool_.acquire(bytes);
  std::size_t position = 0;
  for (const wire::Segment& segment : segments) {
    const auto to = packed.bytes().subspan(position, segment.bytes);
    position += segment.bytes;
    const Snapshot::Parameter& initial = model.setup.initial.parameters[segment.parameter];
    if (segment.part == wire::Part::kCounters) {
      const std::array<std::uint64_t, wire::kCounterCount> counters{
          counts_of(initial.counts, segment.offset,
                    model.plan.chunks[*model.plan.find_at(segment)].count)
              .updates,
          model.setup.initial.samples};
      std::memcpy(to.data(), counters.data(), to.size());
      continue;
    }
    const Memory& from = segment.part == wire::Part::kWeights
                             ? model.setup.weights[segment.parameter]
                             : initial.parts.at(segment.part);
    std::memcpy(to.data(), from.bytes().data() + segment.offset * sizeof(float), to.size());
  }
  return packed.buffer();
}

void Worker::assign_all(std::size_t index, TimePoint now, cluster::Outbox& out) {
  Model& model = *models_[index];
  model.state = Model::State::kAssigning;
  for (const Bucket& bucket : model.plan.buckets) {
    std::vector<wire::Message> messages;
    if (model.setup.initial.parameters.empty()) {
      messages.push_back(make_message(index, wire::Type::kAssign, bucket, Which::kAll, true));
    } else {
      messages = make_whole(index, wire::Type::kAssign, bucket);
    }
    for (wire::Message& message : messages) {
      const std::size_t credit = message.payload.size();
      request(index, bucket.shard, std::move(message), credit, now, out);
    }
  }
  if (model.plan.buckets.empty()) on_all_answered(index, now, out);
}

void Worker::pull_all(
    std::size_t index, std::uint8_t flags, TimePoint now, cluster::Outbox& out, wire::Part part) {
  Model& model = *models_[index];
  const bool join = (flags & wire::kFlagJoin) != 0;
  if (model.state != Model::State::kReady || join) model.state = Model::State::kPulling;
  model.rejoin = join;
  for (const Bucket& bucket : model.plan.buckets) {
    wire::Message message = make_message(index, wire::Type::kPull, bucket, Which::kAll, false);
    message.header.flags = flags;
    message.header.clock = std::max(model.clock, model.wanted);
    for (wire::Segment& segment : message.segments) segment.part = part;
    request(index, bucket.shard, std::move(message), 0, now, out);
  }
  if (model.plan.buckets.empty()) on_all_answered(index, now, out);
}

void Worker::save(Ticket ticket, std::size_t index, TimePoint now, cluster::Outbox& out) {
  open_.insert(ticket);
  if (failed_) return check_failure(now, out);
  Model& model = *models_[index];
  model.ticket = ticket;
  model.saving.emplace();
  model.torn = false;
  const auto parameters = static_cast<std::uint32_t>(model.setup.parameters.size());
  for (std::uint32_t i = 0; i < parameters; ++i) {
    Snapshot::Parameter parameter;
    for (const wire::Part part :
         parts_on_servers(model.setup.options, model.setup.parameters[i].kind))
      parameter.parts.emplace(part, Memory::allocate(model.setup.weights[i].size()));
    parameter.counts.resize(model.plan.first_chunk[i + 1] - model.plan.first_chunk[i]);
    model.saving->parameters.push_back(std::move(parameter));
  }
  for (const Bucket& bucket : model.plan.buckets) {
    for (wire::Message& message : make_whole(index, wire::Type::kPull, bucket))
      request(index, bucket.shard, std::move(message), 0, now, out);
  }
  if (model.plan.buckets.empty()) on_all_answered(index, now, out);
}

// Copies the reply's parts to the snapshot; false if they are not those that were asked for.
bool Worker::take_parts(Model& model, const wire::Message& request, const wire::Message& reply) {
  Snapshot& snapshot = *model.saving;
  std::size_t position = 0;
  for (std::size_t i = 0; i < request.segments.size(); ++i) {
    wire::Segment asked = request.segments[i];
    const wire::Segment& got = reply.segments[i];
    asked.bytes = static_cast<std::uint32_t>(payload_of(asked));
    asked.version = got.version;
    if (!(got == asked)) return false;
    const std::byte* from = reply.payload.data() + position;
    position += got.bytes;
    Snapshot::Parameter& parameter = snapshot.parameters[got.parameter];
    const std::uint32_t at = *model.plan.find_at(got);
    Snapshot::Counts& counts = parameter.counts[at - model.plan.first_chunk[got.parameter]];
    if (got.part == wire::Part::kCounters) {  // the first of its chunk
      std::array<std::uint64_t, wire::kCounterCount> counters{};
      std::memcpy(counters.data(), from, got.bytes);
      counts = {.offset = got.offset, .version = got.version, .updates = counters[0]};
      snapshot.samples = std::max(snapshot.samples, counters[1]);
      continue;
    }
    if (counts.version != got.version) model.torn = true;
    std::memcpy(parameter.parts.at(got.part).bytes().data() + got.offset * sizeof(float), from,
                got.bytes);
  }
  return true;
}

}  // namespace ps::worker
