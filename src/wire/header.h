// The data plane's message: a fixed header and a table of segments in the first frame, the elements
// in the second. Bytes <-> values only: no sockets, no threads, total on hostile input. Layout:
// docs/protocol.md (and nowhere else in code but header.cpp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "wire/codec.h"

namespace ps::wire {

inline constexpr std::uint32_t kProtocolMagic = 0x31575350;  // "PSW1"
inline constexpr std::uint8_t kMajor = 1;
inline constexpr std::uint8_t kMinor = 1;
inline constexpr std::size_t kHeaderBytes = 96;
inline constexpr std::size_t kSegmentBytes = 32;
inline constexpr std::size_t kMaxSegments = 2048;
inline constexpr std::size_t kMaxPayloadBytes = std::size_t{64} << 20;

// 128 bits that tell one job's messages from another's.
using JobId = std::array<std::uint64_t, 2>;

enum class Type : std::uint8_t {
  // worker -> shard
  kPush = 1,      // apply these gradients; answered by kReply without a payload
  kPull = 2,      // send these weights (sync: of version >= clock); answered by kReply with them
  kPushPull = 3,  // both; answered once the new weights may be read
  kAssign = 4,    // initial values, from rank 0
  kQuery = 5,     // what became of the request with this sequence number?
  // shard -> worker
  kReply = 16,
  // control plane (payload: MessagePack, see control.h)
  kControl = 32,
};

enum class Status : std::uint16_t {
  kOk = 0,
  kWorking = 1,    // known and not finished: keep waiting
  kUnknown = 2,    // never seen (lost): send it again
  kNotReady = 3,   // the shard does not have the model (yet): send it again later
  kNonfinite = 4,  // refused whole: a value was NaN or infinite
  kLate =
      5,  // for a round that has been committed without it: nothing applied, weights are current
  kFenced = 6,  // the sender's incarnation is not the current one
  kRefused =
      7,       // malformed for this model (unknown chunk, wrong length ...): the payload says what
  kBusy = 8,   // over a limit: nothing taken, send it again later
  kStale = 9,  // async: staler than the model allows; nothing applied, weights are current
  kSkipped = 10,  // sync: the round changed no weight, for something in it was not finite
};

// Header flags.
inline constexpr std::uint8_t kFlagEndOfStep =
    1;  // the step's last message to this shard: chunks not sent count as n = 0
inline constexpr std::uint8_t kFlagPayloadCrc = 2;  // payload_crc is set and must match
inline constexpr std::uint8_t kFlagJoin =
    8;  // pull: the first of this life; the answer's clock is where to start
inline constexpr std::uint8_t kFlagReceipt =
    16;  // answer kWorking at once if the request has to wait
inline constexpr std::uint8_t kFlagRetire =
    32;  // push without segments: this worker takes no step for a while and holds nobody back
inline constexpr std::uint8_t kFlagMeasures =
    128;  // pull without segments: the sums that the shard has measured, as doubles
inline constexpr std::uint8_t kFlagFinite = 4;  // the sender saw only finite values in this step

// Which of the things that a shard keeps of a chunk: of as many elements as it has weights, but for
// the counters. A push knows weights alone.
enum class Part : std::uint16_t {
  kWeights = 0,
  kAverage = 1,     // the moving average (ModelOptions::ema)
  kMeanSquare = 2,  // of adaptive compensation
  kCounters = 3,    // kUint64: the optimizer's updates of it, the samples that the model consumed
  kState = 16,      // and on: the optimizer's states, one after the other
};
inline constexpr std::uint32_t kCounterCount = 2;

constexpr Part state_part(std::size_t i) noexcept {
  return static_cast<Part>(static_cast<std::size_t>(Part::kState) + i);
}

// Who sent it.
enum class Role : std::uint8_t { kScheduler = 1, kServer = 2, kWorker = 3 };
struct Sender {
  Role role = Role::kWorker;
  std::uint32_t index = 0;  // shard number or worker rank; < 2^24
  bool operator==(const Sender&) const = default;
};

// A run of elements of one parameter: all or part of a chunk.
struct Segment {
  std::uint32_t parameter = 0;
  Codec codec = Codec::kFloat32;
  Part part = Part::kWeights;
  std::uint64_t offset = 0;   // first element
  std::uint32_t count = 0;    // elements
  std::uint32_t bytes = 0;    // in the payload, where segments follow each other without gaps
  std::uint64_t version = 0;  // to a shard: version pulled; from a shard: version of these weights
  bool operator==(const Segment&) const = default;
};

struct Header {
  std::uint8_t minor = kMinor;
  Type type = Type::kControl;
  std::uint8_t flags = 0;
  JobId job{};
  std::uint16_t model = 0;
  Status status = Status::kOk;
  Sender sender{};
  std::uint32_t incarnation = 0;  // the sender's life
  std::uint32_t generation = 0;   // the membership it knows of
  std::uint32_t shard = 0;
  std::uint32_t samples = 0;   // push: samples of the whole step; reply: staleness of the update
  std::uint64_t sequence = 0;  // of the request; a reply repeats it
  std::uint64_t first_incomplete = 0;  // every request below it has been answered
  std::uint64_t clock = 0;             // steps the sender had completed; in sync the round
  double weight = 0;  // push: n of the weighted mean; reply: the learning rate used
  bool operator==(const Header&) const = default;
};

struct Message {
  Header header = {};
  std::vector<Segment> segments = {};
  Buffer payload = {};
};

struct DecodeError {
  enum class Code : std::uint8_t {
    kTruncated,
    kMagic,
    kVersion,  // another major version of the protocol
    kChecksum,
    kType,
    kSender,
    kSegmentCount,
    kPayloadLength,
    kPayloadChecksum,
    kSegment,  // codec, byte length or total does not fit
    kControl,  // MessagePack: malformed, too deep, too many values, or not the expected fields
    kStatus,
    kWeight,  // negative, infinite or NaN (`got`: its bits)
  };
  Code code = Code::kTruncated;
  std::uint64_t offset = 0;  // where in the frame
  std::uint64_t expected = 0;
  std::uint64_t got = 0;
  std::string detail = {};  // kControl: which field, and what is wrong with it
};

// One line: what was expected, what came, where.
std::string to_string(const DecodeError& error);
const char* to_string(Status status) noexcept;
const char* to_string(Type type) noexcept;

// The first frame; the second is message.payload itself. Sets kFlagPayloadCrc and the checksum when
// asked. REQUIRES: segments within kMaxSegments, payload within kMaxPayloadBytes, the sum of
// segment bytes equal to the payload's (kReply and kControl without segments may carry any
// payload). Each segment has as many bytes as its codec takes for count elements in kPush,
// kPushPull, kAssign and in a kReply with a payload, and bytes = 0 in kPull, kQuery and a kReply
// without one; kControl has no segments. weight is finite and not negative.
std::vector<std::byte> encode_header(const Message& message, bool payload_checksum);

// Checks everything that can be checked without a model: never throws, never reads past the frames,
// allocates only the segment table (after its count was checked against the frame's length).
std::variant<Message, DecodeError> decode(std::span<const std::byte> header_frame, Buffer payload);

}  // namespace ps::wire
