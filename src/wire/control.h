// The control plane's messages: typed values carried as MessagePack maps in the payload of a
// kControl message. Unknown fields are skipped (a newer minor version may add some), missing or
// ill-typed ones are a DecodeError. Depth, counts and string lengths are limited before anything is
// allocated.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <ps/options.h>

#include "base/buffer.h"
#include "wire/header.h"

namespace ps::wire {

struct ControlLimits {
  static constexpr std::size_t kDepth = 8;
  static constexpr std::size_t kValues = 1 << 21;       // in one message
  static constexpr std::size_t kStringBytes = 1 << 16;  // each
  static constexpr std::size_t kParameters = 1 << 16;
  static constexpr std::size_t kDimensions = 8;
  static constexpr std::size_t kNameBytes = 256;  // names, patterns, endpoints, builds
  static constexpr std::uint64_t kElements = std::uint64_t{1} << 40;  // of one parameter
  // Of one view, all its models together (kParameters too). A view within them fits kValues and
  // kMaxPayloadBytes, whatever its names and shapes.
  static constexpr std::size_t kModels = 64;
  static constexpr std::size_t kChunks = 1 << 17;
  static constexpr std::size_t kNodes = 1 << 13;  // workers, and as many shards
  static constexpr std::size_t kGroups = 128;     // of one model
};

// A named tensor as its worker registered it.
struct ParameterInfo {
  std::string name = {};
  std::vector<std::int64_t> shape = {};  // fp32; each dimension >= 1
  ParameterKind kind = ParameterKind::kTrained;
  bool operator==(const ParameterInfo&) const = default;
};

struct ModelInfo {
  std::uint16_t id = 0;
  std::string name = {};
  ModelOptions options = {};
  std::vector<ParameterInfo> parameters = {};  // in registration order, which is their priority
  // Shard of each chunk, in the order of cluster::chunks_of().
  std::vector<std::uint32_t> placement = {};
  bool ready = false;  // every shard has allocated it
};

struct WorkerInfo {
  enum class State : std::uint8_t { kAbsent, kAlive, kDead, kLeft };
  std::uint32_t incarnation = 0;
  State state = State::kAbsent;
  bool operator==(const WorkerInfo&) const = default;
};

struct ShardInfo {
  std::string endpoint = {};
  std::uint32_t incarnation = 0;
  bool operator==(const ShardInfo&) const = default;
};

// Everything the scheduler has decided, in one versioned document: it is the only thing it
// broadcasts. A node acts on what differs from the last view it saw; a lost view is sent again when
// a heartbeat names an older revision.
struct View {
  enum class Phase : std::uint8_t { kGathering, kRunning, kStopping };
  std::uint64_t revision = 0;
  std::uint32_t generation = 0;  // changes with any change of members
  Phase phase = Phase::kGathering;
  bool failed = false;  // kStopping because something went wrong: reason says what
  std::string reason = {};
  std::vector<WorkerInfo> workers = {};
  std::vector<ShardInfo> shards = {};
  std::vector<ModelInfo> models = {};
};

// --- node -> scheduler; each may be repeated without harm until it is answered
// -------------------------------

struct Join {
  Role role = Role::kWorker;
  std::uint32_t index = 0;
  std::uint64_t nonce = 0;    // tells a repeated Join from a restarted node
  std::string endpoint = {};  // a shard's
  std::string build = {};     // of the sender, for the error text
};

struct Register {  // answered by a View with the model ready, or Refused
  std::string name = {};
  ModelOptions options = {};
  std::vector<ParameterInfo> parameters = {};
  std::uint64_t checkpoint = 0;  // hash of the one that is restored, 0: none
};

struct Allocated {  // a shard has the model's memory
  std::uint16_t model = 0;
};

struct Heartbeat {
  std::uint64_t revision = 0;  // of the last view seen
  std::uint64_t step = 0;
  std::string phase = {};  // what the node is doing, for people
};

struct Collective {         // sum over ranks (an empty one is a barrier)
  std::uint64_t index = 0;  // the caller's how-manieth
  std::vector<double> values = {};
};

struct LeaseRequest {  // asks for the next block of samples; `index` as in Collective
  std::uint64_t index = 0;
  std::uint64_t stream = 0;  // which samples() loop of the program, counted from 0
  std::uint64_t dataset_size = 0;
  std::uint64_t block = 0;  // samples
  std::uint64_t epochs = 0;
};

struct Consumed {  // a worker's step, contributed or dropped
  std::uint32_t rank = 0;
  std::uint64_t round = 0;
  std::uint32_t samples = 0;
  bool operator==(const Consumed&) const = default;
};

// What one shard has to say in a phase of a sync model's round that all shards must agree on;
// answered by a RoundResult once all have (kTicket: at once).
struct RoundPart {
  enum class Phase : std::uint8_t {
    kTicket,    // ranks: the first to have contributed here; consumed: steps not told before
    kGradient,  // sums of squares: of the reduced gradient, of the weights
    kUpdate,    // likewise of the update's direction
  };
  std::uint16_t model = 0;
  std::uint64_t round = 0;
  Phase phase = Phase::kTicket;
  std::vector<std::uint32_t> ranks = {};
  std::vector<Consumed> consumed = {};
  bool finite = true;
  std::vector<std::uint32_t> chunks = {};  // positions in cluster::chunks_of()
  std::vector<double> sums = {};           // two for each of them
};

struct Leave {
  bool failed = false;
  std::string reason = {};
};

// --- scheduler -> node
// ---------------------------------------------------------------------------------------

struct Joined {
  std::uint32_t incarnation = 0;
};

struct Refused {
  std::uint32_t code = 0;  // ps::ErrorCode
  std::string text = {};
};

struct HeartbeatAck {
  std::uint64_t revision = 0;
};

struct CollectiveResult {
  std::uint64_t index = 0;
  std::vector<double> values = {};
};

struct LeaseGrant {
  std::uint64_t index = 0;
  // Every sample of every epoch has been handed out and none is left to take over.
  bool done = false;
  std::uint64_t epoch = 0;
  std::uint64_t begin = 0;  // positions [begin, end) in the epoch's permutation
  std::uint64_t end = 0;
};

struct RoundResult {
  std::uint16_t model = 0;
  std::uint64_t round = 0;
  RoundPart::Phase phase = RoundPart::Phase::kTicket;
  std::vector<std::uint32_t> ranks = {};  // kTicket: who contributes, ascending
  std::uint64_t samples = 0;              // kTicket: consumed before the round
  bool finite = true;                     // everywhere
  std::vector<double> sums = {};          // two for each parameter
};

using Control = std::variant<Join,
                             Register,
                             Allocated,
                             Heartbeat,
                             Collective,
                             LeaseRequest,
                             Leave,
                             Joined,
                             Refused,
                             HeartbeatAck,
                             CollectiveResult,
                             LeaseGrant,
                             RoundPart,
                             RoundResult,
                             View>;

// Texts come out as clean UTF-8 of at most kStringBytes. REQUIRES: names known to be valid, see
// problem(), and values within ControlLimits, or the receiver refuses the message.
Buffer encode_control(const Control& control);

// Never throws; allocates in proportion to the payload. Whatever comes out has no problem().
std::variant<Control, DecodeError> decode_control(std::span<const std::byte> payload);

// What is wrong with it, naming the field; empty when nothing is. To be asked before a user's table
// is sent and before a view grows by a model.
std::string problem(const Control& control);

// Equal tables and options have equal fingerprints: xxHash64 (seed 0) of the encoding.
std::uint64_t fingerprint(const Register& registration);

// The first thing that differs, in words, `first` being "there" and `second` "here": "optimizer.lr
// 0.1 / 0.01", "parameter 3: 'fc.weight' has shape [784, 10] there and [784, 12] here". Empty when
// nothing does.
std::string difference(const Register& first, const Register& second);

// A short name for logs: "join", "view", ...
const char* control_name(const Control& control) noexcept;

}  // namespace ps::wire
