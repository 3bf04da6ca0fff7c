// The bytes of the first frame, field by field; docs/protocol.md has the same as tables. Values are
// stored byte by byte, so neither alignment nor the machine's byte order matters.
#include "wire/header.h"

#include <bit>
#include <cmath>
#include <concepts>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/crc32c.h"

namespace ps::wire {
namespace {

// Where each field of the header lies.
namespace at {
constexpr std::size_t kMagic = 0;
constexpr std::size_t kMajor = 4;
constexpr std::size_t kMinor = 5;
constexpr std::size_t kType = 6;
constexpr std::size_t kFlags = 7;
constexpr std::size_t kJob = 8;
constexpr std::size_t kModel = 24;
constexpr std::size_t kStatus = 26;
constexpr std::size_t kSender = 28;  // role << 24 | index
constexpr std::size_t kIncarnation = 32;
constexpr std::size_t kGeneration = 36;
constexpr std::size_t kShard = 40;
constexpr std::size_t kSamples = 44;
constexpr std::size_t kSequence = 48;
constexpr std::size_t kFirstIncomplete = 56;
constexpr std::size_t kClock = 64;
constexpr std::size_t kWeight = 72;
constexpr std::size_t kSegmentCount = 80;
constexpr std::size_t kPayloadBytes = 84;
constexpr std::size_t kPayloadCrc = 88;
constexpr std::size_t kHeaderCrc = 92;  // of [0, 92) and of everything behind the header
}  // namespace at

// Where each field of a segment lies, from its start.
namespace segment_at {
constexpr std::size_t kParameter = 0;
constexpr std::size_t kCodec = 4;
constexpr std::size_t kPart = 6;
constexpr std::size_t kOffset = 8;
constexpr std::size_t kCount = 16;
constexpr std::size_t kBytes = 20;
constexpr std::size_t kVersion = 24;
}  // namespace segment_at

constexpr std::size_t kMaxFrameBytes = kHeaderBytes + kMaxSegments * kSegmentBytes;
constexpr unsigned kRoleShift = 24;
constexpr std::uint32_t kIndexMask = (1U << kRoleShift) - 1;

using Code = DecodeError::Code;

template <std::unsigned_integral T>
void store(std::span<std::byte> frame, std::size_t offset, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    frame[offset + i] = static_cast<std::byte>(std::uint64_t{value} >> (8 * i));
  }
}

template <std::unsigned_integral T>
T load(std::span<const std::byte> frame, std::size_t offset) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= std::to_integer<std::uint64_t>(frame[offset + i]) << (8 * i);
  }
  return static_cast<T>(value);
}

std::uint32_t frame_checksum(std::span<const std::byte> frame) {
  return crc32c(frame.subspan(kHeaderBytes), crc32c(frame.first(at::kHeaderCrc)));
}

bool known(Type type) {
  switch (type) {
    case Type::kPush:
    case Type::kPull:
    case Type::kPushPull:
    case Type::kAssign:
    case Type::kQuery:
    case Type::kReply:
    case Type::kControl:
      return true;
  }
  return false;
}

bool known(Role role) {
  return role == Role::kScheduler || role == Role::kServer || role == Role::kWorker;
}

// Whether the payload holds the elements of the segments, or the segments only name them.
bool carries_elements(Type type, std::size_t payload_bytes) {
  if (type == Type::kReply) return payload_bytes > 0;
  return type == Type::kPush || type == Type::kPushPull || type == Type::kAssign;
}

// --- The rules of a message; encode_header() demands them, decode() checks them ----------------

std::optional<DecodeError> check_fields(const Header& header) {
  if (!known(header.type)) {
    return DecodeError{Code::kType, at::kType, 0, static_cast<std::uint64_t>(header.type)};
  }
  if (header.status > Status::kSkipped) {
    return DecodeError{Code::kStatus, at::kStatus, static_cast<std::uint64_t>(Status::kSkipped),
                       static_cast<std::uint64_t>(header.status)};
  }
  if (!known(header.sender.role) || header.sender.index > kIndexMask) {
    return DecodeError{Code::kSender, at::kSender, 0,
                       static_cast<std::uint64_t>(header.sender.role)};
  }
  if (!std::isfinite(header.weight) || header.weight < 0) {
    return DecodeError{Code::kWeight, at::kWeight, 0, std::bit_cast<std::uint64_t>(header.weight)};
  }
  return std::nullopt;
}

std::optional<DecodeError> check_segment(const Segment& segment, bool carried, std::size_t start) {
  if (!known(segment.codec)) {
    return DecodeError{Code::kSegment, start + segment_at::kCodec, 0,
                       static_cast<std::uint64_t>(segment.codec)};
  }
  if (segment.count == 0) return DecodeError{Code::kSegment, start + segment_at::kCount, 1, 0};
  if (segment.offset > UINT64_MAX - segment.count) {
    return DecodeError{Code::kSegment, start + segment_at::kOffset, UINT64_MAX - segment.count,
                       segment.offset};
  }
  const bool fits =
      carried ? can_take(segment.codec, segment.count, segment.bytes) : segment.bytes == 0;
  if (!fits) {
    const std::uint64_t bytes = carried ? encoded_bytes(segment.codec, segment.count) : 0;
    return DecodeError{Code::kSegment, start + segment_at::kBytes, bytes, segment.bytes};
  }
  return std::nullopt;
}

std::optional<DecodeError> check_segments(Type type,
                                          std::span<const Segment> segments,
                                          std::size_t payload_bytes) {
  const bool free_payload = type == Type::kControl || type == Type::kReply;
  if (segments.empty() && free_payload) return std::nullopt;
  if (type == Type::kControl) {
    return DecodeError{Code::kSegmentCount, at::kSegmentCount, kHeaderBytes,
                       kHeaderBytes + segments.size() * kSegmentBytes};
  }
  const bool carried = carries_elements(type, payload_bytes);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (auto error = check_segment(segments[i], carried, kHeaderBytes + i * kSegmentBytes)) {
      return error;
    }
    total += segments[i].bytes;
  }
  if (total != payload_bytes) {
    return DecodeError{Code::kSegment, at::kPayloadBytes, total, payload_bytes};
  }
  return std::nullopt;
}

// --- Bytes -------------------------------------------------------------------------------------

void write_header(std::span<std::byte> frame, const Header& header) {
  store(frame, at::kMagic, kProtocolMagic);
  store(frame, at::kMajor, kMajor);
  store(frame, at::kMinor, header.minor);
  store(frame, at::kType, static_cast<std::uint8_t>(header.type));
  store(frame, at::kFlags, header.flags);
  store(frame, at::kJob, header.job[0]);
  store(frame, at::kJob + sizeof(std::uint64_t), header.job[1]);
  store(frame, at::kModel, header.model);
  store(frame, at::kStatus, static_cast<std::uint16_t>(header.status));
  store(frame, at::kSender,
        std::uint32_t{static_cast<std::uint8_t>(header.sender.role)} << kRoleShift |
            header.sender.index);
  store(frame, at::kIncarnation, header.incarnation);
  store(frame, at::kGeneration, header.generation);
  store(frame, at::kShard, header.shard);
  store(frame, at::kSamples, header.samples);
  store(frame, at::kSequence, header.sequence);
  store(frame, at::kFirstIncomplete, header.first_incomplete);
  store(frame, at::kClock, header.clock);
  store(frame, at::kWeight, std::bit_cast<std::uint64_t>(header.weight));
}

Header read_header(std::span<const std::byte> frame) {
  Header header;
  header.minor = load<std::uint8_t>(frame, at::kMinor);
  header.type = static_cast<Type>(load<std::uint8_t>(frame, at::kType));
  header.flags = load<std::uint8_t>(frame, at::kFlags);
  header.job = {load<std::uint64_t>(frame, at::kJob),
                load<std::uint64_t>(frame, at::kJob + sizeof(std::uint64_t))};
  header.model = load<std::uint16_t>(frame, at::kModel);
  header.status = static_cast<Status>(load<std::uint16_t>(frame, at::kStatus));
  const auto sender = load<std::uint32_t>(frame, at::kSender);
  header.sender = {static_cast<Role>(sender >> kRoleShift), sender & kIndexMask};
  header.incarnation = load<std::uint32_t>(frame, at::kIncarnation);
  header.generation = load<std::uint32_t>(frame, at::kGeneration);
  header.shard = load<std::uint32_t>(frame, at::kShard);
  header.samples = load<std::uint32_t>(frame, at::kSamples);
  header.sequence = load<std::uint64_t>(frame, at::kSequence);
  header.first_incomplete = load<std::uint64_t>(frame, at::kFirstIncomplete);
  header.clock = load<std::uint64_t>(frame, at::kClock);
  header.weight = std::bit_cast<double>(load<std::uint64_t>(frame, at::kWeight));
  return header;
}

void write_segment(std::span<std::byte> bytes, const Segment& segment) {
  store(bytes, segment_at::kParameter, segment.parameter);
  store(bytes, segment_at::kCodec, static_cast<std::uint16_t>(segment.codec));
  store(bytes, segment_at::kPart, static_cast<std::uint16_t>(segment.part));
  store(bytes, segment_at::kOffset, segment.offset);
  store(bytes, segment_at::kCount, segment.count);
  store(bytes, segment_at::kBytes, segment.bytes);
  store(bytes, segment_at::kVersion, segment.version);
}

Segment read_segment(std::span<const std::byte> bytes) {
  Segment segment;
  segment.parameter = load<std::uint32_t>(bytes, segment_at::kParameter);
  segment.codec = static_cast<Codec>(load<std::uint16_t>(bytes, segment_at::kCodec));
  segment.part = static_cast<Part>(load<std::uint16_t>(bytes, segment_at::kPart));
  segment.offset = load<std::uint64_t>(bytes, segment_at::kOffset);
  segment.count = load<std::uint32_t>(bytes, segment_at::kCount);
  segment.bytes = load<std::uint32_t>(bytes, segment_at::kBytes);
  segment.version = load<std::uint64_t>(bytes, segment_at::kVersion);
  return segment;
}

// What must hold before any other field means anything. The version is looked at before the length
// and the checksum, since another major version may have moved both.
std::optional<DecodeError> check_frame(std::span<const std::byte> frame) {
  if (frame.size() <= at::kMajor) {
    return DecodeError{Code::kTruncated, frame.size(), kHeaderBytes, frame.size()};
  }
  if (const auto magic = load<std::uint32_t>(frame, at::kMagic); magic != kProtocolMagic) {
    return DecodeError{Code::kMagic, at::kMagic, kProtocolMagic, magic};
  }
  if (const auto major = load<std::uint8_t>(frame, at::kMajor); major != kMajor) {
    return DecodeError{Code::kVersion, at::kMajor, kMajor, major};
  }
  if (frame.size() < kHeaderBytes) {
    return DecodeError{Code::kTruncated, frame.size(), kHeaderBytes, frame.size()};
  }
  if (frame.size() > kMaxFrameBytes) {  // before any work in proportion to it
    return DecodeError{Code::kSegmentCount, kMaxFrameBytes, kMaxFrameBytes, frame.size()};
  }
  const auto checksum = load<std::uint32_t>(frame, at::kHeaderCrc);
  if (const std::uint32_t computed = frame_checksum(frame); computed != checksum) {
    return DecodeError{Code::kChecksum, at::kHeaderCrc, computed, checksum};
  }
  return std::nullopt;
}

std::optional<DecodeError> check_lengths(std::span<const std::byte> frame,
                                         std::size_t payload_bytes) {
  const auto count = load<std::uint32_t>(frame, at::kSegmentCount);
  const std::uint64_t frame_bytes = kHeaderBytes + std::uint64_t{count} * kSegmentBytes;
  if (frame.size() != frame_bytes) {
    return DecodeError{Code::kSegmentCount, at::kSegmentCount, frame_bytes, frame.size()};
  }
  if (payload_bytes > kMaxPayloadBytes) {
    return DecodeError{Code::kPayloadLength, at::kPayloadBytes, kMaxPayloadBytes, payload_bytes};
  }
  if (const auto told = load<std::uint32_t>(frame, at::kPayloadBytes); told != payload_bytes) {
    return DecodeError{Code::kPayloadLength, at::kPayloadBytes, told, payload_bytes};
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::byte> encode_header(const Message& message, bool payload_checksum) {
  const std::span<const Segment> segments = message.segments;
  PS_ASSERT(segments.size() <= kMaxSegments, "more segments than a message may have");
  PS_ASSERT(message.payload.size() <= kMaxPayloadBytes, "more bytes than a message may carry");
  PS_ASSERT(!check_fields(message.header), "a header that no receiver would take");
  PS_ASSERT(!check_segments(message.header.type, segments, message.payload.size()),
            "segments that do not fit the payload");

  std::vector<std::byte> bytes(kHeaderBytes + segments.size() * kSegmentBytes);
  const std::span<std::byte> frame = bytes;
  write_header(frame, message.header);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    write_segment(frame.subspan(kHeaderBytes + i * kSegmentBytes, kSegmentBytes), segments[i]);
  }
  store(frame, at::kSegmentCount, static_cast<std::uint32_t>(segments.size()));
  store(frame, at::kPayloadBytes, static_cast<std::uint32_t>(message.payload.size()));
  unsigned flags = message.header.flags & ~unsigned{kFlagPayloadCrc};
  if (payload_checksum) {
    flags |= kFlagPayloadCrc;
    store(frame, at::kPayloadCrc, crc32c(message.payload.bytes()));
  }
  store(frame, at::kFlags, static_cast<std::uint8_t>(flags));
  store(frame, at::kHeaderCrc, frame_checksum(frame));
  return bytes;
}

std::variant<Message, DecodeError> decode(std::span<const std::byte> header_frame, Buffer payload) {
  if (auto error = check_frame(header_frame)) return std::move(*error);
  Message message{read_header(header_frame), {}, {}};
  if (auto error = check_fields(message.header)) return std::move(*error);
  if (auto error = check_lengths(header_frame, payload.size())) return std::move(*error);
  if ((message.header.flags & kFlagPayloadCrc) != 0) {
    const auto checksum = load<std::uint32_t>(header_frame, at::kPayloadCrc);
    if (const std::uint32_t computed = crc32c(payload.bytes()); computed != checksum) {
      return DecodeError{Code::kPayloadChecksum, at::kPayloadCrc, computed, checksum};
    }
  }
  std::span<const std::byte> table = header_frame.subspan(kHeaderBytes);
  message.segments.reserve(table.size() / kSegmentBytes);
  for (; !table.empty(); table = table.subspan(kSegmentBytes)) {
    message.segments.push_back(read_segment(table.first(kSegmentBytes)));
  }
  if (auto error = check_segments(message.header.type, message.segments, payload.size())) {
    return std::move(*error);
  }
  message.payload = std::move(payload);
  return message;
}

}  // namespace ps::wire
