// The shard's core, message by message: what a hostile or unlucky worker can do to it. Whole jobs:
// tests/sim.
#include "server/shard.h"

#include <cstring>
#include <limits>

#include "support/catch.h"
#include "support/core_driver.h"

namespace ps::server {
namespace {

constexpr wire::JobId kJob{1, 2};
constexpr net::Link kLink = net::kAcceptedBit;  // of worker 0; worker 1's is the next

using Floats = std::vector<float>;

// A model of one parameter of 4 elements in two chunks, and two workers of lives 11 and 12.
struct Bench {
  explicit Bench(const Consistency& mode = Async{},
                 std::size_t staging_bytes = 1 << 20,
                 const Compression& compression = {})
      : shard({.agent = {.job = kJob,
                         .self = {wire::Role::kServer, 0},
                         .nonce = 1,
                         .scheduler = "sim://s",
                         .own_endpoint = "sim://shard",
                         .timing = {}},
               .staging_bytes = staging_bytes,
               .observer = nullptr}),
        driver(shard) {
    driver.start();
    wire::ModelInfo model;
    model.name = "m";
    model.options.mode = mode;
    model.options.optimizer = Sgd{.lr = 1.0F};
    model.options.chunk_bytes = 8;
    model.options.compression = compression;
    model.parameters = {{"p", {4}, ParameterKind::kTrained}};
    model.placement = {0, 0};
    view.phase = wire::View::Phase::kRunning;
    view.workers = {{11, wire::WorkerInfo::State::kAlive}, {12, wire::WorkerInfo::State::kAlive}};
    view.shards = {{"sim://shard", 7}};
    view.models = {model};
    from_scheduler(wire::Joined{7});
    tell_view();
    driver.take();
  }

  void from_scheduler(const wire::Control& control) {
    wire::Header header;
    header.job = kJob;
    driver.receive(cluster::kSchedulerLink, header, control);
  }
  void tell_view() {
    ++view.revision;
    from_scheduler(view);
  }

  // The next request of a worker, for chunks [first, first + count) of the two.
  wire::Message request(wire::Type type,
                        std::uint32_t rank,
                        const Floats& values = {},
                        std::uint32_t first = 0,
                        std::uint32_t count = 2) {
    wire::Message message;
    message.header.type = type;
    message.header.job = kJob;
    message.header.sender = {wire::Role::kWorker, rank};
    message.header.incarnation = 11 + rank;
    message.header.sequence = ++sequences[rank];
    message.header.first_incomplete = 1;
    message.header.weight = 1;
    message.header.samples = 1;
    const auto carried = static_cast<std::uint32_t>(values.empty() ? 0 : 8);
    for (std::uint32_t i = first; i < first + count; ++i) {
      message.segments.push_back({.parameter = 0, .offset = 2 * i, .count = 2, .bytes = carried});
    }
    if (!values.empty()) message.payload = Buffer::copy_of(std::as_bytes(std::span(values)));
    return message;
  }
  // Sends it; what comes back.
  std::vector<wire::Message> send(const wire::Message& message) {
    driver.take();
    driver.receive(kLink + message.header.sender.index, message);
    std::vector<wire::Message> replies;
    for (auto& sent : driver.take()) {
      if (sent.message.header.type == wire::Type::kReply)
        replies.push_back(std::move(sent.message));
    }
    return replies;
  }
  wire::Status status_of(const wire::Message& message) {
    const auto replies = send(message);
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].header.sequence == message.header.sequence);
    last_text.assign(reinterpret_cast<const char*>(replies[0].payload.data()),
                     replies[0].payload.size());
    return replies[0].header.status;
  }
  void assign(const Floats& values = {1, 2, 3, 4}) {
    REQUIRE(status_of(request(wire::Type::kAssign, 0, values)) == wire::Status::kOk);
  }
  // The weights as the shard gives them.
  Floats weights(std::uint32_t rank = 0) {
    const auto replies = send(request(wire::Type::kPull, rank));
    REQUIRE(replies.size() == 1);
    Floats values(replies[0].payload.size() / sizeof(float));
    std::memcpy(values.data(), replies[0].payload.data(), replies[0].payload.size());
    return values;
  }

  Shard shard;
  CoreDriver driver;
  wire::View view;
  std::array<std::uint64_t, 4> sequences{};
  std::string last_text;
};

using Status = wire::Status;
using Type = wire::Type;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("shard: assigns, applies and answers", "[unit]") {
  Bench bench;
  bench.assign();
  CHECK(bench.status_of(bench.request(Type::kPush, 1, {1, 0, 0, 2})) == Status::kOk);
  CHECK(bench.weights() == Floats{0, 2, 3, 2});
  CHECK(bench.shard.counters().updates == 2);
  bench.assign({9, 9, 9, 9});  // a restarted rank 0: training has gone on
  CHECK(bench.weights() == Floats{0, 2, 3, 2});
}

TEST_CASE("shard: a repeated request is answered again and takes effect once", "[unit]") {
  Bench bench;
  bench.assign();
  const auto push = bench.request(Type::kPushPull, 1, {1, 1, 1, 1});
  const auto first = bench.send(push);
  const auto second = bench.send(push);
  REQUIRE(first.size() == 1);
  REQUIRE(second.size() == 1);
  CHECK(second[0].payload.size() == 16);
  CHECK(second[0].header.weight == first[0].header.weight);
  CHECK(bench.weights() == Floats{0, 1, 2, 3});
  CHECK(bench.shard.counters().repeated == 1);
}

namespace {

// A push of fp16 values, two a chunk.
wire::Message halves(Bench& bench, Type type, std::uint32_t rank, std::vector<std::uint16_t> bits) {
  wire::Message message = bench.request(type, rank);
  for (wire::Segment& segment : message.segments) {
    segment.codec = wire::Codec::kFp16;
    segment.bytes = 4;
  }
  message.payload = Buffer::copy_of(std::as_bytes(std::span(bits)));
  return message;
}

}  // namespace

TEST_CASE("shard: applies compressed gradients, and answers a step with compressed weights",
          "[unit]") {
  const bool sync = GENERATE(false, true);
  CAPTURE(sync);
  Bench bench(sync ? Consistency(Sync{}) : Consistency(Async{}), 1 << 20,
              {.push = Compression::Push::kFp16, .pull = Compression::Pull::kBf16});
  bench.assign({1, 2, 3, 4.00390625F});
  // 1, 0.0999755859375, -2, 0
  const auto push = halves(bench, Type::kPushPull, 1, {0x3C00, 0x2E66, 0xC000, 0});
  std::vector<wire::Message> replies = bench.send(push);
  if (sync) {
    CHECK(replies.empty());
    // The mean of it and fp32 values: a small chunk may come so.
    const auto both =
        bench.send(bench.request(Type::kPushPull, 0, {1.0F, 0.0999755859375F, -2.0F, 0.0F}));
    REQUIRE(both.size() == 2);
    replies = {both[0]};
  }
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].header.status == Status::kOk);
  REQUIRE(replies[0].payload.size() == 8);
  CHECK(replies[0].segments[0].codec == wire::Codec::kBf16);
  CHECK(replies[0].segments[0].bytes == 4);
  std::array<std::uint16_t, 4> got{};
  std::memcpy(got.data(), replies[0].payload.data(), 8);
  // 0, 1.9000244 rounded, 5, 4.00390625 rounded
  CHECK(got == std::array<std::uint16_t, 4>{0, 0x3FF3, 0x40A0, 0x4080});
  // A pull brings them as they are.
  wire::Message pull = bench.request(Type::kPull, 0);
  pull.header.clock = sync ? 1 : 0;
  const auto exact = bench.send(pull);
  REQUIRE(exact.size() == 1);
  Floats values(4);
  REQUIRE(exact[0].payload.size() == 16);
  std::memcpy(values.data(), exact[0].payload.data(), 16);
  CHECK(values == Floats{0, 2.0F - 0.0999755859375F, 5, 4.00390625F});
  if (sync) return;
  const auto again = bench.send(push);  // the answer is said again, in the same bytes
  REQUIRE(again.size() == 1);
  CHECK(again[0].segments == replies[0].segments);
  CHECK(std::ranges::equal(again[0].payload.bytes(), replies[0].payload.bytes()));
  CHECK(bench.shard.counters().updates == 2);
}

TEST_CASE("shard: compressed bytes that the model does not ask for, or that are none, are refused",
          "[unit]") {
  const auto fp16 = Compression{.push = Compression::Push::kFp16};
  SECTION("no compression") {
    Bench bench;
    bench.assign();
    CHECK(bench.status_of(halves(bench, Type::kPush, 1, {0, 0, 0, 0})) == Status::kRefused);
    CHECK_THAT(bench.last_text, Catch::Contains("compressed in another way"));
  }
  SECTION("initial values") {
    Bench bench(Async{}, 1 << 20, fp16);
    CHECK(bench.status_of(halves(bench, Type::kAssign, 0, {0, 0, 0, 0})) == Status::kRefused);
  }
  SECTION("an infinity") {
    Bench bench(Async{}, 1 << 20, fp16);
    bench.assign();
    CHECK(bench.status_of(halves(bench, Type::kPush, 1, {0, 0x7C00, 0, 0})) == Status::kNonfinite);
    CHECK(bench.weights() == Floats{1, 2, 3, 4});
  }
  SECTION("an index that is none") {
    Bench bench(Async{}, 1 << 20, {.push = Compression::Push::kTopK});
    bench.assign();
    wire::Message message = bench.request(Type::kPush, 1, {}, 0, 1);
    message.segments[0].codec = wire::Codec::kTopK;
    message.segments[0].bytes = 8;
    const std::array<std::uint32_t, 2> entry{2, 0};
    message.payload = Buffer::copy_of(std::as_bytes(std::span(entry)));
    CHECK(bench.status_of(message) == Status::kRefused);
    CHECK_THAT(bench.last_text, Catch::Contains("an index is not below 2"));
    CHECK(bench.weights() == Floats{1, 2, 3, 4});
  }
}

TEST_CASE("shard: requests out of order wait for the missing one", "[unit]") {
  Bench bench;
  bench.assign();
  const auto first = bench.request(Type::kPush, 1, {1, 1, 1, 1});
  const auto second = bench.request(Type::kPull, 1);
  CHECK(bench.send(second).empty());
  const auto replies = bench.send(first);
  REQUIRE(replies.size() == 2);
  CHECK(replies[0].header.sequence == first.header.sequence);
  CHECK(replies[1].header.sequence == second.header.sequence);
}

TEST_CASE("shard: tells a worker that asks what became of a request", "[unit]") {
  Bench bench(Sync{});
  bench.assign();
  auto query = bench.request(Type::kQuery, 1);
  query.segments.clear();
  query.header.sequence = 1;
  bench.sequences[1] = 0;
  CHECK(bench.status_of(query) == Status::kUnknown);
  CHECK(bench.send(bench.request(Type::kPush, 1, {1, 1, 1, 1})).empty());  // the round is open
  CHECK(bench.status_of(query) == Status::kWorking);
}

TEST_CASE("shard: malformed requests are refused with a text, and the refusal is remembered",
          "[unit]") {
  Bench bench;
  bench.assign();
  const Floats values{1, 1, 1, 1};
  SECTION("a chunk that is elsewhere") {
    auto message = bench.request(Type::kPush, 1, values);
    message.segments[1].offset = 1;
    CHECK(bench.status_of(message) == Status::kRefused);
    CHECK_THAT(bench.last_text, Catch::Contains("parameter 0, elements [1, +2) is no chunk"));
    CHECK(bench.status_of(message) == Status::kRefused);  // the first refusal may have got lost
    CHECK_THAT(bench.last_text, Catch::Contains("is no chunk"));
  }
  SECTION("a parameter that does not exist") {
    auto message = bench.request(Type::kPull, 1);
    message.segments[0].parameter = 1000;
    CHECK(bench.status_of(message) == Status::kRefused);
  }
  SECTION("a wrong count") {
    auto message = bench.request(Type::kPush, 1, {1, 1, 1}, 0, 1);
    message.segments[0].count = 3;
    message.segments[0].bytes = 12;
    CHECK(bench.status_of(message) == Status::kRefused);
  }
  SECTION("weights that do not exist yet") {
    auto message = bench.request(Type::kPush, 1, values);
    message.segments[0].version = 1;
    CHECK(bench.status_of(message) == Status::kRefused);
    CHECK_THAT(bench.last_text, Catch::Contains("do not exist yet"));
  }
  SECTION("a weight that float32 cannot work with") {
    auto message = bench.request(Type::kPush, 1, values);
    message.header.weight = 1e-200;
    CHECK(bench.status_of(message) == Status::kRefused);
    CHECK_THAT(bench.last_text, Catch::Contains("weight"));
  }
  SECTION("another model") {
    auto message = bench.request(Type::kPull, 1);
    message.header.model = 5;
    CHECK(bench.status_of(message) == Status::kRefused);
    CHECK(bench.status_of(message) == Status::kRefused);
  }
  SECTION("another job") {
    auto message = bench.request(Type::kPush, 1, values);
    message.header.job = {};
    CHECK(bench.status_of(message) == Status::kRefused);
    CHECK(bench.shard.counters().refused == 0);  // it never became a request
    bench.sequences[1] = 0;
  }
  SECTION("a server that pretends to be a worker") {
    auto message = bench.request(Type::kPush, 1, values);
    message.header.sender.role = wire::Role::kServer;
    CHECK(bench.status_of(message) == Status::kRefused);
    bench.sequences[1] = 0;
  }
  SECTION("another request under the number of one that was answered") {
    const auto pull = bench.request(Type::kPull, 1);
    CHECK(bench.status_of(pull) == Status::kOk);
    auto message = bench.request(Type::kPush, 1, values);
    message.header.sequence = pull.header.sequence;
    message.segments[0].offset = 77;
    CHECK(bench.status_of(message) == Status::kRefused);
    bench.sequences[1] = pull.header.sequence;
  }
  CHECK(bench.weights(1) == Floats{1, 2, 3, 4});  // and its worker can go on
  CHECK(bench.shard.counters().updates == 0);
}

TEST_CASE("shard: dead, unknown and unborn lives are kept out", "[unit]") {
  Bench bench;
  bench.assign();
  auto message = bench.request(Type::kPush, 1, {1, 1, 1, 1});
  message.header.incarnation = 5;
  CHECK(bench.status_of(message) == Status::kFenced);
  message.header.incarnation = 13;  // the scheduler has not told of it yet
  CHECK(bench.status_of(message) == Status::kNotReady);
  message.header.incarnation = 0;
  CHECK(bench.status_of(message) == Status::kNotReady);
  message.header.incarnation = 12;
  message.header.sender.index = 2;
  CHECK(bench.status_of(message) == Status::kNotReady);
  bench.view.workers[1].state = wire::WorkerInfo::State::kDead;
  bench.tell_view();
  message.header.sender.index = 1;
  CHECK(bench.status_of(message) == Status::kFenced);
  bench.view.workers[1] = {13, wire::WorkerInfo::State::kAlive};
  bench.tell_view();
  CHECK(bench.status_of(message) == Status::kFenced);
  message.header.incarnation = 13;  // its first request, though the number was used before
  CHECK(bench.status_of(message) == Status::kOk);
  CHECK(bench.shard.counters().fenced == 3);
  CHECK(bench.weights() == Floats{0, 1, 2, 3});
}

TEST_CASE("shard: a push with one NaN is refused whole and counted", "[unit]") {
  const float bad = GENERATE(values({kNan, kInf, -kInf}));
  Bench bench;
  bench.assign();
  CHECK(bench.status_of(bench.request(Type::kPush, 1, {1, 1, 1, bad})) == Status::kNonfinite);
  CHECK(bench.weights() == Floats{1, 2, 3, 4});
  CHECK(bench.shard.counters().nonfinite == 1);
  CHECK(bench.shard.counters().updates == 0);
  REQUIRE_FALSE(bench.driver.notes.empty());
  CHECK_THAT(bench.driver.notes.back().text, Catch::Contains("worker 1 sent NaN or infinity"));
}

TEST_CASE("shard: in sync mode a refused push counts as no contribution, and the round goes on",
          "[unit]") {
  Bench bench(Sync{});
  bench.assign();
  CHECK(bench.send(bench.request(Type::kPush, 1, {1, 1, kNan, 1})).empty());
  const auto replies = bench.send(bench.request(Type::kPush, 0, {1, 1, 1, 1}));
  REQUIRE(replies.size() == 2);
  for (const auto& reply : replies) {
    const bool is_bad = reply.header.sequence == 1;  // worker 0 has assigned before
    CHECK(reply.header.status == (is_bad ? Status::kNonfinite : Status::kOk));
  }
  CHECK(bench.weights() == Floats{0, 1, 2, 3});
}

TEST_CASE("shard: initial values must be finite", "[unit]") {
  Bench bench;
  CHECK(bench.status_of(bench.request(Type::kAssign, 0, {1, kInf, 1, 1})) == Status::kRefused);
  CHECK_THAT(bench.last_text, Catch::Contains("NaN or infinite"));
  bench.assign();
  CHECK(bench.weights() == Floats{1, 2, 3, 4});
}

TEST_CASE("shard: finite gradients that overflow leave the weights as they are", "[unit]") {
  Bench bench;
  bench.assign({3e38F, 0, 0, 0});
  CHECK(bench.status_of(bench.request(Type::kPush, 1, {-3e38F, 0, 1, 0})) == Status::kOk);
  CHECK(bench.shard.counters().overflows == 1);
  CHECK(bench.weights() == Floats{3e38F, 0, -1, 0});
}

TEST_CASE("shard: payloads may start at any byte", "[unit]") {
  Bench bench;
  bench.assign();
  auto message = bench.request(Type::kPush, 1, {1, 1, 1, 1});
  const Memory shifted = Memory::allocate(message.payload.size() + 1);
  std::memcpy(shifted.bytes().data() + 1, message.payload.data(), message.payload.size());
  message.payload = shifted.buffer(1, message.payload.size());
  CHECK(bench.status_of(message) == Status::kOk);
  CHECK(bench.weights() == Floats{0, 1, 2, 3});
}

TEST_CASE("shard: a push before the initial values is refused, a pull waits for them", "[unit]") {
  Bench bench;
  CHECK(bench.send(bench.request(Type::kPull, 1)).empty());
  CHECK(bench.status_of(bench.request(Type::kPush, 0, {1, 1, 1, 1})) == Status::kRefused);
  const auto replies = bench.send(bench.request(Type::kAssign, 0, {1, 2, 3, 4}));
  CHECK(replies.size() == 2);
}

TEST_CASE("shard: sync commits when all have contributed, and answers all with the same weights",
          "[unit]") {
  Bench bench(Sync{});
  bench.assign();
  CHECK(bench.send(bench.request(Type::kPushPull, 1, {3, 3, 3, 3})).empty());
  const auto replies = bench.send(bench.request(Type::kPushPull, 0, {1, 1, 1, 1}));
  REQUIRE(replies.size() == 2);
  CHECK(std::ranges::equal(replies[0].payload.bytes(), replies[1].payload.bytes()));
  CHECK(replies[0].segments[0].version == 1);
  CHECK(bench.weights() == Floats{-1, 0, 1, 2});  // the mean is 2
}

TEST_CASE("shard: a push for a round that is over is late, one for a round to come is refused",
          "[unit]") {
  Bench bench(Sync{});
  bench.assign();
  bench.send(bench.request(Type::kPush, 1, {3, 3, 3, 3}));
  bench.send(bench.request(Type::kPush, 0, {1, 1, 1, 1}));
  CHECK(bench.status_of(bench.request(Type::kPush, 1, {1, 1, 1, 1})) == Status::kLate);
  CHECK(bench.shard.counters().late == 2);  // chunks
  auto early = bench.request(Type::kPush, 1, {1, 1, 1, 1});
  early.header.clock = 2;
  CHECK(bench.status_of(early) == Status::kRefused);
  CHECK_THAT(bench.last_text, Catch::Contains("has not begun"));
}

TEST_CASE("shard: a worker that only pushes hears of a step's end when all its chunks are through",
          "[unit]") {
  Bench bench(Sync{});
  bench.assign();
  auto push = bench.request(Type::kPush, 1, {3, 3}, 0, 1);
  push.header.flags = wire::kFlagEndOfStep;
  CHECK(bench.send(push).empty());
  // Worker 0's part of the first chunk alone does not end the round of the second.
  auto half = bench.request(Type::kPush, 0, {1, 1}, 0, 1);
  auto replies = bench.send(half);
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].header.sequence == half.header.sequence);
  auto rest = bench.request(Type::kPush, 0, {1, 1}, 1, 1);
  rest.header.flags = wire::kFlagEndOfStep;
  CHECK(bench.send(rest).size() == 2);
  CHECK(bench.weights() == Floats{-1, 0, 2, 3});
}

TEST_CASE("shard: an answer of the scheduler that fits no model ends it with the reason",
          "[unit]") {
  Bench bench(Sync{});
  wire::RoundResult result;
  result.phase = wire::RoundPart::Phase::kGradient;
  result.sums = {1, 2, 3};  // one parameter has two
  bench.from_scheduler(result);
  REQUIRE(bench.shard.agent().failure());
  CHECK_THAT(bench.shard.agent().failure()->text, Catch::Contains("3 sums, expected 2"));
  CHECK(bench.shard.finished());
}

TEST_CASE("shard: over its limit it takes only what a round waits for", "[unit]") {
  Bench bench(Sync{}, 8);
  bench.assign();
  CHECK(bench.status_of(bench.request(Type::kPush, 1, {3, 3, 3, 3})) == Status::kBusy);
  bench.sequences[1] = 0;
  CHECK(bench.shard.counters().busy == 1);
  CHECK(bench.send(bench.request(Type::kPush, 0, {1, 1, 1, 1})).empty());
  CHECK(bench.send(bench.request(Type::kPush, 1, {3, 3, 3, 3})).size() == 2);
  CHECK(bench.weights() == Floats{-1, 0, 1, 2});
}

TEST_CASE("shard: ssp answers a worker that is too far ahead when the others have caught up",
          "[unit]") {
  Bench bench(Ssp{.staleness = 0});
  bench.assign();
  auto push = bench.request(Type::kPushPull, 1, {1, 1, 1, 1});
  push.header.flags = wire::kFlagEndOfStep | wire::kFlagReceipt;
  auto replies = bench.send(push);
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].header.status == Status::kWorking);
  SECTION("by a step") {
    auto other = bench.request(Type::kPush, 0, {1, 1, 1, 1});
    other.header.flags = wire::kFlagEndOfStep;
    CHECK(bench.send(other).size() == 2);
  }
  SECTION("by retiring") {
    auto retire = bench.request(Type::kPush, 0);
    retire.segments.clear();
    retire.header.flags = wire::kFlagRetire;
    CHECK(bench.send(retire).size() == 2);
  }
  SECTION("by dying") {
    bench.view.workers[0].state = wire::WorkerInfo::State::kDead;
    bench.tell_view();
    CHECK(bench.driver.take().size() >= 1);
  }
  SECTION("by being born again") {
    bench.view.workers[0].incarnation = 20;
    bench.tell_view();
    CHECK(bench.driver.take().size() >= 1);
  }
}

TEST_CASE("shard: a model it cannot hold ends the job with the reason", "[unit]") {
  Bench bench;
  auto model = bench.view.models[0];
  model.id = 1;
  model.name = "other";
  model.placement = {0};  // its table has two chunks
  bench.view.models.push_back(model);
  bench.tell_view();
  CHECK(bench.shard.finished());
  const auto leaves = bench.driver.controls<wire::Leave>();
  REQUIRE(leaves.size() == 1);
  CHECK(leaves[0].second.failed);
  CHECK_THAT(leaves[0].second.reason, Catch::Contains("model 'other'"));
}

TEST_CASE("shard: the weights of an answer under way do not change with the next update",
          "[unit]") {
  Bench bench;
  bench.assign();
  auto pull = bench.request(Type::kPull, 1, {}, 0, 1);  // one chunk: sent from where it lies
  const auto replies = bench.send(pull);
  REQUIRE(replies.size() == 1);
  for (int i = 0; i < 5; ++i) bench.send(bench.request(Type::kPush, 0, {1, 1, 1, 1}));
  float value = 0;
  std::memcpy(&value, replies[0].payload.data(), sizeof value);
  CHECK(value == 1);
}

}  // namespace ps::server
