// What a shard keeps of its chunks, asked for and assigned part by part, by workers and by liars.
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "server/shard.h"
#include "support/catch.h"
#include "support/core_driver.h"

namespace ps::server {
namespace {

constexpr wire::JobId kJob{1, 2};
constexpr net::Link kLink = net::kAcceptedBit;

using Floats = std::vector<float>;
using Status = wire::Status;
using Type = wire::Type;
using wire::Part;

// A model of one parameter of 4 elements in two chunks, Adam with a moving average, two workers.
struct Bench {
  explicit Bench(const ModelOptions& options)
      : shard({.agent = {.job = kJob,
                         .self = {wire::Role::kServer, 0},
                         .nonce = 1,
                         .scheduler = "sim://s",
                         .own_endpoint = "sim://shard",
                         .timing = {}}}),
        driver(shard) {
    driver.start();
    wire::ModelInfo model;
    model.name = "m";
    model.options = options;
    model.options.chunk_bytes = 8;
    model.parameters = {{"p", {4}, ParameterKind::kTrained}};
    model.placement = {0, 0};
    wire::View view;
    view.revision = 1;
    view.phase = wire::View::Phase::kRunning;
    view.workers = {{11, wire::WorkerInfo::State::kAlive}, {12, wire::WorkerInfo::State::kAlive}};
    view.shards = {{"sim://shard", 7}};
    view.models = {model};
    wire::Header header;
    header.job = kJob;
    driver.receive(cluster::kSchedulerLink, header, wire::Joined{7});
    driver.receive(cluster::kSchedulerLink, header, view);
    driver.take();
  }

  wire::Message request(Type type, std::uint32_t rank) {
    wire::Message message;
    message.header.type = type;
    message.header.job = kJob;
    message.header.sender = {wire::Role::kWorker, rank};
    message.header.incarnation = 11 + rank;
    message.header.sequence = ++sequences[rank];
    message.header.first_incomplete = 1;
    message.header.weight = 1;
    message.header.samples = 5;
    return message;
  }
  // Adds a part of chunk 0 or 1; with values where the message carries them.
  static void add(wire::Message& message,
                  std::uint32_t chunk,
                  Part part,
                  std::uint64_t version = 0,
                  const Floats& values = {}) {
    message.segments.push_back({.parameter = 0,
                                .part = part,
                                .offset = 2 * chunk,
                                .count = 2,
                                .bytes = static_cast<std::uint32_t>(values.size() * 4),
                                .version = version});
    append(message, std::as_bytes(std::span(values)));
  }
  static void add_counters(wire::Message& message,
                           std::uint32_t chunk,
                           std::uint64_t version = 0,
                           const std::vector<std::uint64_t>& values = {}) {
    message.segments.push_back({.parameter = 0,
                                .codec = wire::Codec::kUint64,
                                .part = Part::kCounters,
                                .offset = 2 * chunk,
                                .count = 2,
                                .bytes = static_cast<std::uint32_t>(values.size() * 8),
                                .version = version});
    append(message, std::as_bytes(std::span(values)));
  }
  static void append(wire::Message& message, std::span<const std::byte> bytes) {
    std::vector<std::byte> all(message.payload.bytes().begin(), message.payload.bytes().end());
    all.insert(all.end(), bytes.begin(), bytes.end());
    message.payload = Buffer::copy_of(all);
  }

  std::vector<wire::Message> send(const wire::Message& message) {
    driver.take();
    driver.receive(kLink + message.header.sender.index, message);
    std::vector<wire::Message> replies;
    for (auto& sent : driver.take()) {
      if (sent.message.header.type == Type::kReply) replies.push_back(std::move(sent.message));
    }
    return replies;
  }
  Status status_of(const wire::Message& message) {
    const auto replies = send(message);
    REQUIRE(replies.size() == 1);
    text.assign(reinterpret_cast<const char*>(replies[0].payload.data()),
                replies[0].payload.size());
    return replies[0].header.status;
  }
  // A whole chunk as it would be restored.
  wire::Message restoring(std::uint32_t chunk, std::uint64_t version = 40) {
    const auto x = static_cast<float>(10 * chunk);
    wire::Message message = request(Type::kAssign, 0);
    add_counters(message, chunk, version, {30, 600});
    add(message, chunk, wire::state_part(0), version, {x + 1, x + 2});
    add(message, chunk, wire::state_part(1), version, {x + 3, x + 4});
    add(message, chunk, Part::kAverage, version, {x + 5, x + 6});
    add(message, chunk, Part::kWeights, version, {x + 7, x + 8});
    return message;
  }
  wire::Message saving(std::uint32_t rank) {
    wire::Message message = request(Type::kPull, rank);
    for (const std::uint32_t chunk : {0U, 1U}) {
      add_counters(message, chunk);
      add(message, chunk, wire::state_part(0));
      add(message, chunk, wire::state_part(1));
      add(message, chunk, Part::kAverage);
      add(message, chunk, Part::kWeights);
    }
    return message;
  }

  Shard shard;
  CoreDriver driver;
  std::array<std::uint64_t, 2> sequences{};
  std::string text;
};

const ModelOptions kAdam{.optimizer = Adam{.lr = 0.5F}, .ema = {.decay = 0.5F, .tau = 0}};

}  // namespace

TEST_CASE("shard state: what was assigned comes back, to the bit", "[unit]") {
  Bench bench(kAdam);
  REQUIRE(bench.status_of(bench.restoring(0)) == Status::kOk);
  CHECK(bench.send(bench.saving(1)).empty());  // chunk 1 has nothing yet
  const auto restoring = bench.restoring(1);
  const auto replies = bench.send(restoring);
  REQUIRE(replies.size() == 2);
  const wire::Message& saved = replies[0].segments.empty() ? replies[1] : replies[0];
  REQUIRE(saved.segments.size() == 10);
  CHECK(saved.segments[9].version == 40);
  wire::Message expected;
  for (const std::uint32_t chunk : {0U, 1U})
    Bench::append(expected, bench.restoring(chunk).payload.bytes());
  CHECK(std::ranges::equal(saved.payload.bytes(), expected.payload.bytes()));
}

TEST_CASE("shard state: training goes on from the round that was assigned", "[unit]") {
  Bench bench(kAdam);
  REQUIRE(bench.status_of(bench.restoring(0)) == Status::kOk);
  REQUIRE(bench.status_of(bench.restoring(1)) == Status::kOk);
  for (const std::uint32_t rank : {0U, 1U}) {
    wire::Message push = bench.request(Type::kPush, rank);
    push.header.flags = wire::kFlagEndOfStep;
    push.header.clock = 40;
    for (const std::uint32_t chunk : {0U, 1U}) Bench::add(push, chunk, Part::kWeights, 40, {1, 1});
    CHECK(bench.send(push).size() == 2 * rank);
  }
  wire::Message ask = bench.request(Type::kPull, 1);
  Bench::add_counters(ask, 0);
  Bench::add(ask, 0, wire::state_part(0));
  const auto replies = bench.send(ask);
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].segments[0].version == 41);
  std::array<std::uint64_t, 2> counters{};
  std::memcpy(counters.data(), replies[0].payload.data(), 16);
  CHECK(counters == std::array<std::uint64_t, 2>{31, 610});
  float m = 0;
  std::memcpy(&m, replies[0].payload.data() + 16, 4);
  CHECK(m == Approx(0.9F * 1 + 0.1F));
}

TEST_CASE("shard state: a repeated or late assign changes nothing", "[unit]") {
  Bench bench(kAdam);
  const auto first = bench.restoring(0);
  REQUIRE(bench.status_of(first) == Status::kOk);
  REQUIRE(bench.status_of(bench.restoring(1)) == Status::kOk);
  CHECK(bench.status_of(first) == Status::kOk);
  wire::Message late = bench.request(Type::kAssign, 0);  // rank 0 in its next life
  Bench::add(late, 0, wire::state_part(0), 40, {9, 9});
  Bench::add(late, 0, Part::kWeights, 40, {9, 9});
  CHECK(bench.status_of(late) == Status::kOk);
  const auto replies = bench.send(bench.saving(1));
  REQUIRE(replies.size() == 1);
  wire::Message expected;
  for (const std::uint32_t chunk : {0U, 1U})
    Bench::append(expected, bench.restoring(chunk).payload.bytes());
  CHECK(std::ranges::equal(replies[0].payload.bytes(), expected.payload.bytes()));
}

TEST_CASE("shard state: what does not fit is refused with the reason", "[unit]") {
  Bench bench(kAdam);
  const auto refused = [&](const wire::Message& message, const std::string& words) {
    CHECK(bench.status_of(message) == Status::kRefused);
    CHECK_THAT(bench.text, Catch::Contains(words));
    CHECK(bench.status_of(message) == Status::kRefused);  // and again, as it was lost
  };
  const auto assign = [&] { return bench.request(Type::kAssign, 0); };
  SECTION("a state that the optimizer has not") {
    wire::Message message = assign();
    Bench::add(message, 0, wire::state_part(2), 0, {1, 1});
    refused(message, "of parameter 'p' no part 18 is kept");
  }
  SECTION("a part that nobody knows") {
    wire::Message message = assign();
    Bench::add(message, 0, static_cast<Part>(9), 0, {1, 1});
    refused(message, "no part 9");
  }
  SECTION("the mean square of a mode that has none") {
    wire::Message message = assign();
    Bench::add(message, 0, Part::kMeanSquare, 0, {1, 1});
    refused(message, "no part 2");
  }
  SECTION("weights in another type of numbers") {
    wire::Message message = assign();
    Bench::add_counters(message, 0, 0, {1, 1});
    message.segments[0].part = Part::kWeights;
    refused(message, "another type of numbers");
  }
  SECTION("counters as floats") {
    wire::Message message = assign();
    Bench::add(message, 0, Part::kCounters, 0, {1, 1});
    refused(message, "another type of numbers");
  }
  SECTION("one counter") {
    wire::Message message = assign();
    Bench::add_counters(message, 0, 0, {1});
    message.segments[0].count = 1;
    refused(message, "is no chunk");
  }
  SECTION("counts that would overflow") {
    wire::Message message = assign();
    Bench::add_counters(message, 0, 0, {1, ~std::uint64_t{0}});
    refused(message, "greater than 2^62");
  }
  SECTION("a version that would") {
    wire::Message message = assign();
    Bench::add(message, 0, Part::kWeights, ~std::uint64_t{0}, {1, 1});
    refused(message, "greater than 2^62");
  }
  SECTION("two rounds in one model") {
    REQUIRE(bench.status_of(bench.restoring(0)) == Status::kOk);
    refused(bench.restoring(1, 39), "initial values of round 39");
  }
  SECTION("an average that is not finite") {
    wire::Message message = assign();
    Bench::add(message, 0, Part::kAverage, 0, {1, std::numeric_limits<float>::infinity()});
    refused(message, "NaN or infinite");
  }
  SECTION("a push of a state") {
    REQUIRE(bench.status_of(bench.restoring(0)) == Status::kOk);
    wire::Message push = bench.request(Type::kPush, 1);
    Bench::add(push, 0, wire::state_part(0), 0, {1, 1});
    refused(push, "no gradient");
  }
  SECTION("a push in another type of numbers") {
    REQUIRE(bench.status_of(bench.restoring(0)) == Status::kOk);
    wire::Message push = bench.request(Type::kPush, 1);
    Bench::add_counters(push, 0, 0, {1, 1});
    push.segments[0].part = Part::kWeights;
    refused(push, "another type of numbers");
  }
  CHECK(bench.shard.counters().updates == 0);
}

TEST_CASE("shard state: a liar's repetition may ask for a chunk that has nothing", "[unit]") {
  Bench bench(kAdam);
  REQUIRE(bench.status_of(bench.restoring(0)) == Status::kOk);
  wire::Message pull = bench.request(Type::kPull, 1);
  Bench::add(pull, 0, Part::kAverage);
  CHECK(bench.status_of(pull) == Status::kOk);
  pull.segments[0].offset = 2;
  for (const Part part : {Part::kAverage, wire::state_part(1), Part::kWeights}) {
    pull.segments[0].part = part;
    CHECK(bench.status_of(pull) == Status::kOk);
  }
}

TEST_CASE("shard state: adaptive compensation's mean square is 0 before the first gradient",
          "[unit]") {
  Bench bench({.mode = Async{.compensation = Compensation::kAdaptive}, .optimizer = Sgd{.lr = 1}});
  wire::Message assign = bench.request(Type::kAssign, 0);
  Bench::add(assign, 0, Part::kWeights, 3, {1, 2});
  REQUIRE(bench.status_of(assign) == Status::kOk);
  wire::Message pull = bench.request(Type::kPull, 1);
  Bench::add(pull, 0, Part::kMeanSquare);
  const auto replies = bench.send(pull);
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].segments[0].version == 3);
  CHECK(std::ranges::all_of(replies[0].payload.bytes(),
                            [](std::byte b) { return b == std::byte{0}; }));
}

}  // namespace ps::server
