// What a shard keeps of its chunks, part by part: given to whoever asks, taken from rank 0 before
// the first step. A checkpoint is made of the one and restored by the other.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/planted.h"
#include "kernels/finite.h"
#include "server/decode.h"
#include "server/shard.h"

namespace ps::server {
namespace {

// Of counts that come from outside: no sum of them overflows.
constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 62;

using Numbers = std::array<std::uint64_t, wire::kCounterCount>;

Numbers counters_of(const Buffer& bytes) {
  Numbers counters{};
  std::memcpy(counters.data(), bytes.data(), sizeof(counters));
  return counters;
}

std::string text_of(const wire::Segment& segment) {
  return "parameter " + std::to_string(segment.parameter) + ", elements [" +
         std::to_string(segment.offset) + ", +" + std::to_string(segment.count) + ")";
}

}  // namespace

// --- faults --------------------------------------------------------------------------------------

bool Shard::keeps(const Model& model, std::uint32_t parameter, wire::Part part) {
  const bool trained = model.parameters[parameter].kind == ParameterKind::kTrained;
  switch (part) {
    case wire::Part::kWeights:
    case wire::Part::kCounters:
      return true;
    case wire::Part::kAverage:
      return model.options.ema.decay > 0;
    case wire::Part::kMeanSquare:
      return trained && model.async.compensation == Compensation::kAdaptive;
    case wire::Part::kState:
      break;
  }
  return trained && part >= wire::Part::kState &&
         part < wire::state_part(model.optimizer->state_floats_per_element());
}

// Whether the segment names a chunk of this shard, and something that is kept of it.
std::string Shard::find_segment_fault(const Model& model,
                                      wire::Type type,
                                      const wire::Segment& segment) const {
  const bool counts = segment.part == wire::Part::kCounters;
  const auto at = model.index.find({segment.parameter, segment.offset});
  if (at == model.index.end() ||
      segment.count != (counts ? wire::kCounterCount : model.chunks[at->second].where.count))
    return text_of(segment) + " is no chunk of shard " + std::to_string(options_.agent.self.index);
  const bool compressible = segment.part == wire::Part::kWeights &&
                            model.parameters[segment.parameter].kind == ParameterKind::kTrained;
  const bool usual = segment.codec == (counts ? wire::Codec::kUint64 : wire::Codec::kFloat32);
  if (!usual && !(compressible && segment.codec == codec_of_data(model.options.compression, type)))
    return text_of(segment) + " is of another type of numbers than is kept, or compressed in " +
           "another way than the model's options say";
  if (keeps(model, segment.parameter, segment.part)) return {};
  if (segment.part == wire::Part::kAverage)
    return "no moving average of the weights is kept; set ModelOptions::ema";
  return "of parameter '" + model.parameters[segment.parameter].name + "' no part " +
         std::to_string(static_cast<unsigned>(segment.part)) +
         " is kept; the optimizer or the mode is another than the sender's";
}

std::string Shard::find_assign_fault(const Model& model, const wire::Message& message) {
  std::size_t position = 0;
  for (const wire::Segment& segment : message.segments) {
    const Buffer values = message.payload.slice(position, segment.bytes);
    position += segment.bytes;
    // States may be infinite: a great gradient's square is, and its update is finite.
    const bool must_be_finite =
        segment.part == wire::Part::kWeights || segment.part == wire::Part::kAverage;
    if (must_be_finite && !kernels::all_finite(floats(values)))
      return "an initial value is NaN or infinite";
    const bool counts = segment.part == wire::Part::kCounters;
    if (segment.version > kMaxCount ||
        (counts && std::ranges::max(counters_of(values)) > kMaxCount))
      return "an initial count is greater than 2^62";
    // Whoever comes later, or again, may say what the first one has said.
    const std::uint64_t round = model.first_round.value_or(message.segments.front().version);
    if (model.sync && segment.version != round) {
      return "initial values of round " + std::to_string(segment.version) + ", but the model of " +
             "this job starts with round " + std::to_string(round);
    }
  }
  return {};
}

// --- taking --------------------------------------------------------------------------------------

// Initial values. A chunk's weights complete it: what comes later is from a restarted rank 0, which
// assigns again though training has gone on since.
void Shard::assign(Model& model, const wire::Message& message, cluster::Outbox& out) {
  std::size_t position = 0;
  for (const wire::Segment& segment : message.segments) {
    Chunk& chunk = *find_chunk(model, segment);
    const Buffer values = message.payload.slice(position, segment.bytes);
    position += segment.bytes;
    if (chunk.initialised) continue;
    take_part(model, chunk, segment.part, values);
    if (segment.part != wire::Part::kWeights) continue;
    chunk.initialised = true;
    chunk.version = segment.version;
    if (model.sync && !model.first_round) {
      model.first_round = segment.version;
      model.agreement.start_at(segment.version);
    }
    wake(chunk, out);
  }
}

void Shard::take_part(Model& model, Chunk& chunk, wire::Part part, const Buffer& values) {
  const auto copy_to = [&](std::span<std::byte> to) {
    std::memcpy(to.data(), values.data(), values.size());
  };
  const auto copy_into = [&](Memory& memory) {
    if (memory.size() == 0) memory = Memory::allocate(values.size());
    copy_to(memory.bytes());
  };
  switch (part) {
    case wire::Part::kWeights:
      copy_to(chunk.weights.bytes());
      chunk.encoded = {};
      if (model.options.ema.decay > 0 && chunk.average.size() == 0) copy_into(chunk.average);
      return;
    case wire::Part::kAverage:
      return copy_into(chunk.average);
    case wire::Part::kMeanSquare:
      return copy_into(chunk.mean_square);
    case wire::Part::kCounters: {
      const auto [updates, samples] = counters_of(values);
      chunk.state.updates = updates;
      model.samples_at_start = std::max(model.samples_at_start, samples);
      model.samples = std::max(model.samples, samples);
      return;
    }
    case wire::Part::kState:
      break;
  }
  copy_to(state_of(chunk, part));
}

// --- giving --------------------------------------------------------------------------------------

// The parts as they are now, of each chunk at one instant. Weights alone need no copy: only they
// are never written in place.
void Shard::give(Model& model,
                 const wire::Header& request,
                 const std::vector<wire::Segment>& segments,
                 wire::Message& message) {
  // What a step brings may be compressed; a pull says of each segment how it wants it.
  const auto codec_of = [&](const wire::Segment& segment) {
    if (request.type == wire::Type::kPull) return segment.codec;
    const bool trained = model.parameters[segment.parameter].kind == ParameterKind::kTrained;
    return trained ? wire::codec_of(model.options.compression.pull) : wire::Codec::kFloat32;
  };
  std::size_t bytes = 0;
  for (const wire::Segment& segment : segments)
    bytes += wire::encoded_bytes(codec_of(segment), segment.count);
  const bool plain = std::ranges::all_of(
      segments, [](const auto& segment) { return segment.part == wire::Part::kWeights; });
  const bool packed = segments.size() > 1 || !plain;
  const Memory memory = packed ? pool_.acquire(bytes) : Memory();
  std::size_t position = 0;
  for (wire::Segment segment : segments) {
    Chunk& chunk = *find_chunk(model, segment);
    if (plain && model.async.compensation != Compensation::kNone)
      remember_pull(chunk, request.sender.index);
    segment.codec = codec_of(segment);
    segment.bytes = static_cast<std::uint32_t>(wire::encoded_bytes(segment.codec, segment.count));
    segment.version = chunk.version + (planted(PlantedBug::kTornPull) ? 1 : 0);
    message.segments.push_back(segment);
    const bool compressed =
        segment.part == wire::Part::kWeights && segment.codec != wire::Codec::kFloat32;
    const Memory& weights = compressed ? encoded(chunk, segment.codec) : chunk.weights;
    if (!packed) {
      message.payload = weights.buffer(0, segment.bytes);
    } else if (compressed) {
      std::memcpy(memory.bytes().data() + position, weights.bytes().data(), segment.bytes);
    } else {
      give_part(model, chunk, segment.part, memory.bytes().subspan(position, segment.bytes));
    }
    position += segment.bytes;
  }
  if (packed) message.payload = memory.buffer();
}

// Once for all workers, until the weights change.
const Memory& Shard::encoded(Chunk& chunk, wire::Codec codec) {
  if (chunk.encoded.size() == 0) {
    chunk.encoded = pool_.acquire(wire::encoded_bytes(codec, chunk.where.count));
    encode_weights(codec, chunk.weights.as<const float>(), chunk.encoded);
  }
  return chunk.encoded;
}

void Shard::give_part(const Model& model,
                      const Chunk& chunk,
                      wire::Part part,
                      std::span<std::byte> to) {
  const auto copy_from = [&](std::span<const std::byte> from) {
    std::memcpy(to.data(), from.data(), to.size());
  };
  switch (part) {
    case wire::Part::kWeights:
      return copy_from(chunk.weights.bytes());
    case wire::Part::kAverage:
      // A chunk without initial values has none yet.
      return copy_from((chunk.average.size() > 0 ? chunk.average : chunk.weights).bytes());
    case wire::Part::kMeanSquare:
      if (chunk.mean_square.size() > 0) return copy_from(chunk.mean_square.bytes());
      std::ranges::fill(to, std::byte{0});  // no gradient has come yet
      return;
    case wire::Part::kCounters: {
      const Numbers counters{chunk.state.updates, consumed(model)};
      return copy_from(std::as_bytes(std::span(counters)));
    }
    case wire::Part::kState:
      break;
  }
  copy_from(state_of(chunk, part));
}

std::span<std::byte> Shard::state_of(const Chunk& chunk, wire::Part part) {
  const std::size_t bytes = chunk.weights.size();
  const auto i = static_cast<std::size_t>(part) - static_cast<std::size_t>(wire::Part::kState);
  return chunk.state.floats.bytes().subspan(i * bytes, bytes);
}

// With backup workers the scheduler tells what was consumed before a round only once the round has
// begun; what this shard has heard of is all there is between two.
std::uint64_t Shard::consumed(const Model& model) {
  if (!model.agreement.needs().ticket) return model.samples;
  return model.samples_at_start + model.agreement.heard();
}

}  // namespace ps::server
