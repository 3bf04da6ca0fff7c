#include "wire/samples.h"

#include <cstring>

#include "base/crc32c.h"

namespace ps::wire::samples {
namespace {

constexpr JobId kJob{0x0123456789ABCDEF, 0xFEDCBA9876543210};

int digit(char c) {
  return c <= '9' ? c - '0' : c - 'a' + 10;
}

void put_u32(std::span<std::byte> frame, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) frame[at + i] = static_cast<std::byte>(value >> (8 * i));
}

Segment random_segment(Random& random, bool carried) {
  Segment segment;
  segment.parameter = random.next_u32();
  segment.offset = random.next_u64() >> random.below(64);
  segment.count = 1 + static_cast<std::uint32_t>(random.below(40));
  if (segment.offset > UINT64_MAX - segment.count) segment.offset = UINT64_MAX - segment.count;
  segment.codec = random.chance(0.6) ? Codec::kFloat32 : static_cast<Codec>(1 + random.below(6));
  segment.part = static_cast<Part>(random.next_u32());
  const bool sparse = segment.codec == Codec::kTopK;
  const auto bytes = static_cast<std::uint32_t>(
      encoded_bytes(segment.codec, sparse ? 1 + random.below(segment.count) : segment.count));
  segment.bytes = carried ? bytes : 0;
  segment.version = random.next_u64();
  return segment;
}

Buffer random_bytes(Random& random, std::size_t count) {
  Bytes bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next_u32());
  return Buffer::copy_of(bytes);
}

}  // namespace

Bytes from_hex(std::string_view hex) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < hex.size();) {
    if (hex[i] == ' ') {
      ++i;
      continue;
    }
    bytes.push_back(static_cast<std::byte>(digit(hex[i]) * 16 + digit(hex[i + 1])));
    i += 2;
  }
  return bytes;
}

std::string to_hex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const std::byte byte : bytes) {
    hex += kDigits[std::to_integer<std::size_t>(byte) >> 4];
    hex += kDigits[std::to_integer<std::size_t>(byte) & 15];
  }
  return hex;
}

Buffer floats(const std::vector<float>& values) {
  return Buffer::copy_of(std::as_bytes(std::span(values)));
}

Message push() {
  Message message;
  message.header = {.type = Type::kPush,
                    .flags = kFlagEndOfStep | kFlagPayloadCrc | kFlagFinite,
                    .job = kJob,
                    .model = 3,
                    .sender = {Role::kWorker, 2},
                    .incarnation = 5,
                    .generation = 7,
                    .shard = 1,
                    .samples = 32,
                    .sequence = 41,
                    .first_incomplete = 40,
                    .clock = 12,
                    .weight = 32.0};
  message.segments = {{.parameter = 0, .offset = 0, .count = 3, .bytes = 12, .version = 11},
                      {.parameter = 4, .offset = 1024, .count = 2, .bytes = 8, .version = 11}};
  message.payload = floats({1.0F, -2.0F, 0.5F, 3.0F, 0.25F});
  return message;
}

Message restoring() {
  Message message = push();
  message.header.type = Type::kAssign;
  message.header.flags = 0;
  message.header.weight = 0;
  message.segments = {{.codec = Codec::kUint64,
                       .part = Part::kCounters,
                       .count = kCounterCount,
                       .bytes = 16,
                       .version = 12},
                      {.part = state_part(1), .count = 2, .bytes = 8, .version = 12},
                      {.count = 2, .bytes = 8, .version = 12}};
  std::vector<std::uint64_t> counters{12, 384};
  std::vector<std::byte> payload(32);
  std::memcpy(payload.data(), counters.data(), 16);
  std::memcpy(payload.data() + 16, std::vector<float>{0.5F, 0.25F, 1.0F, -2.0F}.data(), 16);
  message.payload = Buffer::copy_of(payload);
  return message;
}

Message reply() {
  Message message;
  message.header = {.type = Type::kReply,
                    .job = kJob,
                    .model = 3,
                    .sender = {Role::kServer, 1},
                    .incarnation = 1,
                    .generation = 7,
                    .shard = 1,
                    .samples = 3,
                    .sequence = 41,
                    .clock = 12,
                    .weight = 0.125};
  message.segments = {{.parameter = 4, .offset = 1024, .count = 2, .bytes = 8, .version = 12}};
  message.payload = floats({0.75F, -1.5F});
  return message;
}

Message heartbeat() {
  Message message;
  message.header = {.job = kJob, .sender = {Role::kWorker, 2}, .incarnation = 5, .generation = 7};
  message.payload = encode_control(Heartbeat{.revision = 300, .step = 12, .phase = "push"});
  return message;
}

Message random_message(Random& random) {
  constexpr std::array kTypes{Type::kPush,  Type::kPull,  Type::kPushPull, Type::kAssign,
                              Type::kQuery, Type::kReply, Type::kControl};
  Message message;
  Header& header = message.header;
  header.minor = static_cast<std::uint8_t>(random.next_u32());
  header.type = kTypes[random.below(kTypes.size())];
  header.flags = static_cast<std::uint8_t>(random.next_u32());
  header.job = {random.next_u64(), random.next_u64()};
  header.model = static_cast<std::uint16_t>(random.next_u32());
  header.status = static_cast<Status>(random.below(9));
  header.sender = {static_cast<Role>(1 + random.below(3)),
                   static_cast<std::uint32_t>(random.below(1U << 24))};
  header.incarnation = random.next_u32();
  header.generation = random.next_u32();
  header.shard = random.next_u32();
  header.samples = random.next_u32();
  header.sequence = random.next_u64();
  header.first_incomplete = random.next_u64();
  header.clock = random.next_u64();
  header.weight = random.uniform(0, 1e6);

  const bool reply_with_payload = header.type == Type::kReply && random.chance(0.5);
  const bool carried = header.type == Type::kPush || header.type == Type::kPushPull ||
                       header.type == Type::kAssign || reply_with_payload;
  if (header.type != Type::kControl) message.segments.resize(random.below(9));
  std::size_t bytes = 0;
  for (Segment& segment : message.segments) {
    segment = random_segment(random, carried);
    bytes += segment.bytes;
  }
  const bool free_payload =
      message.segments.empty() && (header.type == Type::kControl || reply_with_payload);
  message.payload = random_bytes(random, free_payload ? random.below(200) : bytes);
  return message;
}

void sign(std::span<std::byte> frame, std::span<const std::byte> payload) {
  if (frame.size() < kHeaderBytes) return;
  const auto flags = std::to_integer<std::uint8_t>(frame[7]);
  if ((flags & kFlagPayloadCrc) != 0) put_u32(frame, 88, crc32c(payload));
  put_u32(frame, 92, crc32c(frame.subspan(kHeaderBytes), crc32c(frame.first(92))));
}

Register registration() {
  Register registration;
  registration.name = "mlp";
  registration.options = {
      .mode = Ssp{.staleness = 3, .staleness_aware = true},
      .optimizer = Sgd{.lr = 0.1F, .momentum = 0.9F, .nesterov = true, .weight_decay = 0.25F},
      .schedule = {.kind = Schedule::Kind::kCosine,
                   .warmup_samples = 100,
                   .warmup_start = 0.125F,
                   .total_samples = 5000,
                   .step_samples = 700,
                   .step_gamma = 0.5F,
                   .final_factor = 0.0625F,
                   .epoch_samples = 50,
                   .decay_from_start = true,
                   .warmup_power = 2,
                   .warmup_momentum = 0.75F},
      .groups = {{.pattern = "*.bias", .lr_scale = 2, .weight_decay = 0, .warmup_start = 10}},
      .reduce = Reduce::kSum,
      .clip_norm = 5.0F,
      .finite = Finite::kStep,
      .update = Update::kWorker,
      .ema = {.decay = 0.5F, .tau = 100.0F},
      .compression = {Compression::Push::kTopK, Compression::Pull::kBf16, 0.125F},
      .measure = true,
      .chunk_bytes = 65536};
  registration.parameters = {{"fc.weight", {784, 10}, ParameterKind::kTrained},
                             {"bn.mean", {10}, ParameterKind::kAverage},
                             {"scale", {}, ParameterKind::kTrained}};
  registration.checkpoint = 0x8000000000000003;
  return registration;
}

View view() {
  View view;
  view.revision = 17;
  view.generation = 4;
  view.phase = View::Phase::kStopping;
  view.failed = true;
  view.reason = "worker 1: lost \xE2\x80\x94 no heartbeat";
  view.workers = {{0, WorkerInfo::State::kAbsent},
                  {2, WorkerInfo::State::kAlive},
                  {3, WorkerInfo::State::kDead},
                  {5, WorkerInfo::State::kLeft}};
  view.shards = {{"tcp://10.0.0.1:5000", 6}, {"ipc:///tmp/s1", 8}};
  ModelInfo adam{.id = 9, .name = "gan", .placement = {0, 1, 1}, .ready = true};
  adam.options = {.mode = Async{.staleness_aware = true,
                                .max_staleness = 5,
                                .compensation = Compensation::kAdaptive,
                                .lambda = 0.5F,
                                .decay = 0.25F,
                                .pushes_per_update = 2},
                  .optimizer = Adam{.lr = 0.5F,
                                    .beta1 = 0.75F,
                                    .beta2 = 0.875F,
                                    .epsilon = 0.125F,
                                    .weight_decay = 0.25F},
                  .schedule = {.kind = Schedule::Kind::kStep, .step_samples = 10}};
  adam.parameters = {{"w", {3}, ParameterKind::kTrained}};
  ModelInfo adamw{.id = 11, .name = "vit"};
  adamw.options.optimizer =
      AdamW{.lr = 0.5F, .beta1 = 0.25F, .beta2 = 0.125F, .epsilon = 1, .weight_decay = 2};
  adamw.options.mode = Sync{.backup_workers = 1};
  view.models = {adam, adamw};
  return view;
}

// NOLINTNEXTLINE(readability-function-size): a table
std::vector<ControlSample> control_samples() {
  return {
      {Join{Role::kServer, 7, 0x8000000000000001, "tcp://host:1", "0.1.0"},
       R"({"kind": "join", "role": "server", "index": 7, "nonce": 9223372036854775809,
           "endpoint": "tcp://host:1", "build": "0.1.0"})"},
      {registration(),
       R"({"kind": "register", "name": "mlp",
           "options": {
             "mode": {"kind": "ssp", "staleness": 3, "staleness_aware": true},
             "optimizer": {"kind": "sgd", "lr": 0.10000000149011612, "momentum": 0.8999999761581421,
                           "nesterov": true, "weight_decay": 0.25},
             "schedule": {"kind": "cosine", "warmup_samples": 100, "warmup_start": 0.125,
                          "total_samples": 5000, "step_samples": 700, "step_gamma": 0.5,
                          "final_factor": 0.0625, "epoch_samples": 50, "decay_from_start": true,
                          "warmup_power": 2, "warmup_momentum": 0.75},
             "groups": [{"pattern": "*.bias", "lr_scale": 2.0, "weight_decay": 0.0,
                         "warmup_start": 10.0}],
             "reduce": "sum", "clip_norm": 5.0, "finite": "step", "update": "worker",
             "ema": {"decay": 0.5, "tau": 100.0},
             "compression": {"push": "topk", "pull": "bf16", "top": 0.125}, "measure": true,
             "chunk_bytes": 65536},
           "parameters": [{"name": "fc.weight", "shape": [784, 10], "kind": "trained"},
                          {"name": "bn.mean", "shape": [10], "kind": "average"},
                          {"name": "scale", "shape": [], "kind": "trained"}],
           "checkpoint": 9223372036854775811})"},
      {Allocated{9}, R"({"kind": "allocated", "model": 9})"},
      {Heartbeat{5, 6, "pull"},
       R"({"kind": "heartbeat", "revision": 5, "step": 6, "phase": "pull"})"},
      {Collective{3, {1.5, -2.0}}, R"({"kind": "collective", "index": 3, "values": [1.5, -2.0]})"},
      {LeaseRequest{1, 2, 3, 4, 5},
       R"({"kind": "lease_request", "index": 1, "stream": 2, "dataset_size": 3, "block": 4,
           "epochs": 5})"},
      {Leave{true, "out of memory"},
       R"({"kind": "leave", "failed": true, "reason": "out of memory"})"},
      {Joined{12}, R"({"kind": "joined", "incarnation": 12})"},
      {Refused{1, "no"}, R"({"kind": "refused", "code": 1, "text": "no"})"},
      {HeartbeatAck{77}, R"({"kind": "heartbeat_ack", "revision": 77})"},
      {CollectiveResult{4, {0.1}}, R"({"kind": "collective_result", "index": 4, "values": [0.1]})"},
      {RoundPart{2, 7, RoundPart::Phase::kTicket, {0, 2}, {{1, 6, 32}}, false, {4}, {0.5, 0.25}},
       R"({"kind": "round_part", "model": 2, "round": 7, "phase": "ticket", "ranks": [0, 2],
           "consumed": [{"rank": 1, "round": 6, "samples": 32}], "finite": false, "chunks": [4],
           "sums": [0.5, 0.25]})"},
      {RoundResult{2, 7, RoundPart::Phase::kUpdate, {0, 2}, 640, true, {0.5, 0.25}},
       R"({"kind": "round_result", "model": 2, "round": 7, "phase": "update", "ranks": [0, 2],
           "samples": 640, "finite": true, "sums": [0.5, 0.25]})"},
      {LeaseGrant{1, true, 2, 3, 4},
       R"({"kind": "lease_grant", "index": 1, "done": true, "epoch": 2, "begin": 3, "end": 4})"},
      {view(),
       R"({"kind": "view", "revision": 17, "generation": 4, "phase": "stopping", "failed": true,
           "reason": "worker 1: lost — no heartbeat",
           "workers": [{"incarnation": 0, "state": "absent"}, {"incarnation": 2, "state": "alive"},
                       {"incarnation": 3, "state": "dead"}, {"incarnation": 5, "state": "left"}],
           "shards": [{"endpoint": "tcp://10.0.0.1:5000", "incarnation": 6},
                      {"endpoint": "ipc:///tmp/s1", "incarnation": 8}],
           "models": [
             {"id": 9, "name": "gan", "ready": true, "placement": [0, 1, 1],
              "parameters": [{"name": "w", "shape": [3], "kind": "trained"}],
              "options": {
                "mode": {"kind": "async", "staleness_aware": true, "max_staleness": 5,
                  "compensation": "adaptive", "lambda": 0.5, "decay": 0.25, "pushes_per_update": 2},
                "optimizer": {"kind": "adam", "lr": 0.5, "beta1": 0.75, "beta2": 0.875,
                              "epsilon": 0.125, "weight_decay": 0.25},
                "schedule": {"kind": "step", "warmup_samples": 0, "warmup_start": 0.0,
                             "total_samples": 0, "step_samples": 10,
                             "step_gamma": 0.10000000149011612, "final_factor": 0.0,
                             "epoch_samples": 0, "decay_from_start": false, "warmup_power": 1,
                             "warmup_momentum": -1.0},
                "groups": [], "reduce": "mean", "clip_norm": 0.0, "finite": "message",
                "update": "server", "ema": {"decay": 0.0, "tau": 2000.0},
                "compression": {"push": "none", "pull": "none", "top": 0.009999999776482582},
                "measure": false, "chunk_bytes": 0}},
             {"id": 11, "name": "vit", "ready": false, "placement": [], "parameters": [],
              "options": {
                "mode": {"kind": "sync", "backup_workers": 1},
                "optimizer": {"kind": "adamw", "lr": 0.5, "beta1": 0.25, "beta2": 0.125,
                              "epsilon": 1.0, "weight_decay": 2.0},
                "schedule": {"kind": "constant", "warmup_samples": 0, "warmup_start": 0.0,
                             "total_samples": 0, "step_samples": 0,
                             "step_gamma": 0.10000000149011612, "final_factor": 0.0,
                             "epoch_samples": 0, "decay_from_start": false, "warmup_power": 1,
                             "warmup_momentum": -1.0},
                "groups": [], "reduce": "mean", "clip_norm": 0.0, "finite": "message",
                "update": "server", "ema": {"decay": 0.0, "tau": 2000.0},
                "compression": {"push": "none", "pull": "none", "top": 0.009999999776482582},
                "measure": false, "chunk_bytes": 0}}]})"},
  };
}

}  // namespace ps::wire::samples
