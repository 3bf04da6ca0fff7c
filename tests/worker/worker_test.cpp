// The worker's core, message by message. Whole jobs with faults: tests/sim.
#include "worker/worker.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>

#include "support/catch.h"
#include "support/core_driver.h"

namespace ps::worker {
namespace {

using std::chrono::seconds;

constexpr wire::JobId kJob{1, 2};
constexpr std::uint32_t kShardLife = 50;
constexpr net::Link kShard0 = cluster::kSchedulerLink + 1;

struct Done final : Events {
  void done(Ticket ticket, Outcome outcome) override {
    REQUIRE_FALSE(outcomes.contains(ticket));  // once each
    outcomes.emplace(ticket, std::move(outcome));
  }
  void arrived(Ticket ticket, std::span<const std::uint32_t> parameters) override {
    REQUIRE_FALSE(outcomes.contains(ticket));
    arrivals[ticket].insert(arrivals[ticket].end(), parameters.begin(), parameters.end());
  }
  std::map<Ticket, Outcome> outcomes;
  std::map<Ticket, std::vector<std::uint32_t>> arrivals;
};

// Rank 1 of two workers, with one shard.
struct Bench {
  explicit Bench(std::size_t credit_bytes = std::size_t{32} << 20)
      : worker({.agent = {.job = kJob,
                          .self = {wire::Role::kWorker, 1},
                          .nonce = 1,
                          .scheduler = "sim://s",
                          .own_endpoint = {},
                          .timing = {}},
                .credit_bytes = credit_bytes,
                .seed = 1},
               done),
        driver(worker) {
    driver.start();
    view.revision = 1;
    view.phase = wire::View::Phase::kRunning;
    view.workers = {{1, wire::WorkerInfo::State::kAlive}, {2, wire::WorkerInfo::State::kAlive}};
    view.shards = {{"sim://shard", kShardLife}};
    from_scheduler(wire::Joined{2});
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
  // A model of `parameters` parameters of `elements` each, started and pulled.
  std::size_t add_model(const std::string& name,
                        const Consistency& mode,
                        std::size_t parameters = 1,
                        std::int64_t elements = 4) {
    Worker::ModelSetup setup;
    setup.name = name;
    setup.options.mode = mode;
    setup.options.compression = compression;
    for (std::size_t i = 0; i < parameters; ++i) {
      setup.parameters.push_back({"p" + std::to_string(i), {elements}, ParameterKind::kTrained});
      const auto bytes = static_cast<std::size_t>(elements) * sizeof(float);
      setup.weights.push_back(Memory::allocate(bytes));
      setup.gradients.push_back(Memory::allocate(bytes));
    }
    weights = setup.weights;
    gradients = setup.gradients;
    const Ticket ticket = ++last_ticket;
    const std::size_t index = worker.add_model(ticket, setup, driver.now, driver.out);
    driver.collect();
    wire::ModelInfo info;
    info.id = static_cast<std::uint16_t>(view.models.size());
    info.name = name;
    info.options = setup.options;
    info.options.chunk_bytes = std::uint64_t{64} << 10;  // so that each large one is a bucket
    info.parameters = setup.parameters;
    info.placement.assign(cluster::chunks_of(info.parameters, info.options.chunk_bytes).size(), 0);
    info.ready = true;
    view.models.push_back(info);
    tell_view();
    for (const auto& one : requests()) answer(one);
    REQUIRE(done.outcomes.contains(ticket));
    return index;
  }
  // Data messages sent since the last call.
  std::vector<wire::Message> requests() {
    std::vector<wire::Message> found;
    for (auto& one : driver.take()) {
      if (one.message.header.type == wire::Type::kControl) continue;
      CHECK(one.link == kShard0);
      found.push_back(std::move(one.message));
    }
    return found;
  }
  wire::Message reply_to(const wire::Message& request, wire::Status status = wire::Status::kOk) {
    wire::Message reply;
    reply.header.type = wire::Type::kReply;
    reply.header.job = kJob;
    reply.header.sender = {wire::Role::kServer, 0};
    reply.header.incarnation = kShardLife;
    reply.header.status = status;
    reply.header.sequence = request.header.sequence;
    const bool weights_wanted =
        request.header.type == wire::Type::kPull || request.header.type == wire::Type::kPushPull;
    if (status != wire::Status::kOk || !weights_wanted) return reply;
    reply.segments = request.segments;
    std::size_t bytes = 0;
    for (auto& segment : reply.segments) {
      segment.bytes = segment.count * 4;
      bytes += segment.bytes;
    }
    reply.payload = Memory::allocate(bytes).buffer();
    return reply;
  }
  void answer(const wire::Message& request, wire::Status status = wire::Status::kOk) {
    driver.receive(kShard0, reply_to(request, status));
  }
  Ticket end_step(std::size_t model) {
    worker.end_step(++last_ticket, model, driver.now, driver.out);
    driver.collect();
    return last_ticket;
  }
  Ticket step(std::size_t model) {
    worker.begin_step(model, {}, driver.now, driver.out);
    return end_step(model);
  }
  bool ended(Ticket ticket) const { return done.outcomes.contains(ticket); }
  std::string failure(Ticket ticket) const {
    const auto& outcome = done.outcomes.at(ticket);
    return outcome.failure ? outcome.failure->text : "";
  }

  Compression compression;  // of models added from now on
  Done done;
  Worker worker;
  CoreDriver driver;
  wire::View view;
  Ticket last_ticket = 0;
  std::vector<Memory> weights;
  std::vector<Memory> gradients;
};

}  // namespace

TEST_CASE("worker: a step pushes gradients and ends with the new weights", "[unit]") {
  Bench bench;
  const auto model = bench.add_model("m", Async{});
  bench.gradients[0].as<float>()[2] = 7;
  const Ticket ticket = bench.step(model);
  const auto sent = bench.requests();
  REQUIRE(sent.size() == 1);
  const auto& push = sent[0];
  CHECK(push.header.type == wire::Type::kPushPull);
  CHECK((push.header.flags & wire::kFlagEndOfStep) != 0);
  CHECK(push.header.incarnation == 2);
  CHECK(push.header.first_incomplete == push.header.sequence);
  float value = 0;
  std::memcpy(&value, push.payload.data() + 8, 4);
  CHECK(value == 7);
  auto reply = bench.reply_to(push);
  const Memory fresh = Memory::allocate(16);
  fresh.as<float>()[1] = 3;
  reply.payload = fresh.buffer();
  reply.segments[0].version = 9;
  reply.header.samples = 4;
  reply.header.weight = 0.5;
  bench.driver.receive(kShard0, reply);
  REQUIRE(bench.ended(ticket));
  CHECK(bench.done.outcomes[ticket].step.version == 9);
  CHECK(bench.done.outcomes[ticket].step.staleness == 4);
  CHECK(bench.done.outcomes[ticket].step.staleness_sum ==
        4.0 * static_cast<double>(bench.done.outcomes[ticket].step.chunks));
  CHECK(bench.done.outcomes[ticket].step.chunks > 0);
  CHECK(bench.done.outcomes[ticket].step.lr == 0.5F);
  CHECK(bench.weights[0].as<float>()[1] == 3);
  CHECK(bench.worker.clock(model) == 1);
  bench.driver.receive(kShard0, reply);  // an echo
  CHECK(bench.worker.clock(model) == 1);
}

TEST_CASE("worker: asks after a lost answer and sends the same request again if it is unknown",
          "[unit]") {
  Bench bench;
  const auto model = bench.add_model("m", Async{});
  const Ticket ticket = bench.step(model);
  const auto first = bench.requests();
  bench.driver.advance(std::chrono::milliseconds(1500));
  const auto query = bench.requests();
  REQUIRE(query.size() == 1);
  CHECK(query[0].header.type == wire::Type::kQuery);
  CHECK(query[0].header.sequence == first[0].header.sequence);
  bench.answer(query[0], wire::Status::kUnknown);
  const auto again = bench.requests();
  REQUIRE(again.size() == 1);
  CHECK(again[0].header.type == wire::Type::kPushPull);
  CHECK(again[0].header.sequence == first[0].header.sequence);
  bench.answer(again[0], wire::Status::kBusy);
  CHECK(bench.requests().empty());
  bench.driver.advance(std::chrono::milliseconds(25));
  REQUIRE(bench.requests().size() == 1);
  bench.answer(again[0], wire::Status::kWorking);
  CHECK_FALSE(bench.ended(ticket));
  bench.answer(again[0]);
  CHECK(bench.ended(ticket));
}

TEST_CASE("worker: a compressed step that is sent again has the bytes of the first time",
          "[unit]") {
  Bench bench;
  bench.compression = {.push = Compression::Push::kTopK, .top = 0.0005F};
  const auto model = bench.add_model("m", Async{}, 1, 2000);
  bench.gradients[0].as<float>()[7] = 2.0F;
  bench.gradients[0].as<float>()[9] = 3.0F;
  const Ticket ticket = bench.step(model);
  const auto first = bench.requests();
  REQUIRE(first.size() == 1);
  CHECK(first[0].segments[0].codec == wire::Codec::kTopK);
  CHECK(first[0].payload.size() == 8);
  bench.answer(first[0], wire::Status::kUnknown);
  const auto again = bench.requests();
  REQUIRE(again.size() == 1);
  CHECK(std::ranges::equal(again[0].payload.bytes(), first[0].payload.bytes()));
  CHECK_FALSE(bench.ended(ticket));
  auto reply = bench.reply_to(again[0]);
  reply.segments[0].codec = wire::Codec::kFloat32;
  bench.driver.receive(kShard0, reply);
  REQUIRE(bench.ended(ticket));
  // What was second comes now, once, though the first message went out twice.
  std::ranges::fill(bench.gradients[0].as<float>(), 0.0F);
  bench.step(model);
  const auto next = bench.requests();
  REQUIRE(next.size() == 1);
  std::uint32_t index = 0;
  float value = 0;
  std::memcpy(&index, next[0].payload.data(), 4);
  std::memcpy(&value, next[0].payload.data() + 4, 4);
  CHECK(index == 7);
  CHECK(value == 2.0F);
}

TEST_CASE("worker: bytes that come encoded leave from where they lie, for one step", "[unit]") {
  Bench bench;
  bench.compression = {.push = Compression::Push::kFp16};
  const auto model = bench.add_model("m", Async{}, 1, 2000);
  bench.worker.encodings(++bench.last_ticket, model, bench.driver.now, bench.driver.out);
  const auto& found = bench.done.outcomes.at(bench.last_ticket).encodings;
  REQUIRE(found.size() == 1);
  REQUIRE(found[0].pieces.size() == 1);
  CHECK(found[0].pieces[0].bytes == 4000);
  CHECK(found[0].bytes == 4032);  // a multiple of 64
  const Memory bytes = Memory::allocate(found[0].bytes);
  std::ranges::fill(bytes.bytes(), std::byte{0x3C});
  bench.worker.begin_step(model, {}, bench.driver.now, bench.driver.out);
  bench.worker.ready_encoded(model, 0, bytes, bench.driver.now, bench.driver.out);
  const Ticket ticket = bench.end_step(model);
  auto sent = bench.requests();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].segments[0].codec == wire::Codec::kFp16);
  CHECK(sent[0].payload.data() == bytes.bytes().data());
  CHECK(sent[0].payload.size() == 4000);
  bench.answer(sent[0], wire::Status::kUnknown);
  sent = bench.requests();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].payload.data() == bytes.bytes().data());
  auto reply = bench.reply_to(sent[0]);
  reply.segments[0].codec = wire::Codec::kFloat32;
  bench.driver.receive(kShard0, reply);
  REQUIRE(bench.ended(ticket));
  bench.step(model);  // of gradients that are 0
  sent = bench.requests();
  REQUIRE(sent.size() == 1);
  CHECK(std::ranges::all_of(sent[0].payload.bytes(), [](std::byte b) { return b == std::byte{}; }));
}

TEST_CASE("worker: a message has what came encoded beside what is encoded here", "[unit]") {
  Bench bench;
  bench.compression = {.push = Compression::Push::kTopK, .top = 0.001F};
  const auto model = bench.add_model("m", Async{}, 2, 1024);
  bench.worker.encodings(++bench.last_ticket, model, bench.driver.now, bench.driver.out);
  const Memory bytes = Memory::allocate(kEncodedAlignment);
  bytes.as<std::uint32_t>()[0] = 77;
  bytes.as<float>()[1] = 5.0F;
  bench.gradients[1].as<float>()[3] = 2.0F;
  bench.worker.begin_step(model, {}, bench.driver.now, bench.driver.out);
  bench.worker.ready_encoded(model, 0, bytes, bench.driver.now, bench.driver.out);
  bench.end_step(model);
  const auto sent = bench.requests();
  REQUIRE(sent.size() == 1);
  REQUIRE(sent[0].payload.size() == 16);
  std::array<std::uint32_t, 4> words{};
  std::memcpy(words.data(), sent[0].payload.data(), sizeof words);
  CHECK(words == std::array<std::uint32_t, 4>{77, std::bit_cast<std::uint32_t>(5.0F), 3,
                                              std::bit_cast<std::uint32_t>(2.0F)});
}

TEST_CASE("worker: a step brings bf16 weights where the model says so, and never others",
          "[unit]") {
  Bench bench;
  bench.compression = {.pull = Compression::Pull::kBf16};
  const auto model = bench.add_model("m", Async{}, 1, 2);
  const Ticket ticket = bench.step(model);
  const auto sent = bench.requests();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].segments[0].codec == wire::Codec::kFloat32);
  auto reply = bench.reply_to(sent[0]);
  reply.segments[0].bytes = 4;
  const std::array<std::uint16_t, 2> halves{0x3F80, 0xC040};
  reply.payload = Buffer::copy_of(std::as_bytes(std::span(halves)));
  const auto codec = GENERATE(wire::Codec::kBf16, wire::Codec::kFp16);
  reply.segments[0].codec = codec;
  bench.driver.receive(kShard0, reply);
  REQUIRE(bench.ended(ticket));
  if (codec == wire::Codec::kFp16) {
    CHECK_THAT(bench.failure(ticket), Catch::Contains("other weights than it was asked for"));
    return;
  }
  CHECK(bench.weights[0].as<float>()[0] == 1.0F);
  CHECK(bench.weights[0].as<float>()[1] == -3.0F);
}

TEST_CASE("worker: every operation ends, also those of a worker that has failed", "[unit]") {
  Bench bench;
  const auto model = bench.add_model("m", Sync{});
  const Ticket step = bench.step(model);
  bench.worker.collective(++bench.last_ticket, {}, bench.driver.now, bench.driver.out);
  const Ticket barrier = bench.last_ticket;
  bench.driver.collect();
  auto sent = bench.requests();
  bench.driver.receive(kShard0, [&] {
    auto reply = bench.reply_to(sent[0], wire::Status::kRefused);
    reply.payload = Buffer::copy_of(std::as_bytes(std::span("no such chunk")));
    return reply;
  }());
  CHECK_THAT(bench.failure(step), Catch::Contains("shard 0 refused a request: no such chunk"));
  CHECK_THAT(bench.failure(barrier), Catch::Contains("no such chunk"));
  CHECK(bench.worker.finished());
  CHECK(bench.driver.controls<wire::Leave>().size() == 1);  // everybody is told
  bench.worker.pull(++bench.last_ticket, model, wire::Part::kWeights, bench.driver.now,
                    bench.driver.out);
  CHECK_THAT(bench.failure(bench.last_ticket), Catch::Contains("no such chunk"));
  bench.worker.lease(++bench.last_ticket, {}, bench.driver.now, bench.driver.out);
  CHECK_THAT(bench.failure(bench.last_ticket), Catch::Contains("no such chunk"));
}

TEST_CASE("worker: a shard without a sign of life fails the step, naming it", "[unit]") {
  Bench bench;
  const auto model = bench.add_model("m", Async{});
  const Ticket ticket = bench.step(model);
  for (int second = 0; second < 31 && !bench.ended(ticket); ++second) {
    bench.from_scheduler(wire::HeartbeatAck{bench.view.revision});
    bench.driver.advance(seconds(1));
  }
  REQUIRE(bench.ended(ticket));
  CHECK_THAT(bench.failure(ticket),
             Catch::Contains("shard 0 at sim://shard has given no sign of life"));
  CHECK(bench.driver.connects.size() >= 3);  // it had renewed the connection before
}

TEST_CASE("worker: a fenced worker says so", "[unit]") {
  Bench bench;
  const auto model = bench.add_model("m", Async{});
  const Ticket ticket = bench.step(model);
  bench.answer(bench.requests()[0], wire::Status::kFenced);
  CHECK_THAT(bench.failure(ticket), Catch::Contains("declared dead"));
}

TEST_CASE("worker: takes no answer from another life or job, nor other weights than it wanted",
          "[unit]") {
  Bench bench;
  const auto model = bench.add_model("m", Async{});
  const Ticket ticket = bench.step(model);
  const auto push = bench.requests()[0];
  auto reply = bench.reply_to(push);
  reply.header.incarnation = kShardLife - 1;
  bench.driver.receive(kShard0, reply);
  CHECK_FALSE(bench.ended(ticket));
  reply = bench.reply_to(push);
  reply.header.job = {};
  bench.driver.receive(kShard0, reply);
  CHECK_FALSE(bench.ended(ticket));
  reply = bench.reply_to(push);
  reply.segments[0].offset = 1;
  bench.driver.receive(kShard0, reply);
  CHECK_THAT(bench.failure(ticket), Catch::Contains("other weights than it was asked for"));
}

TEST_CASE("worker: early parameters leave at once, the shard's last message after the end",
          "[unit]") {
  Bench bench;
  const auto model = bench.add_model("m", Sync{}, 3, 16 << 10);
  bench.worker.begin_step(model, {}, bench.driver.now, bench.driver.out);
  bench.worker.ready(model, 2, bench.driver.now, bench.driver.out);
  bench.driver.collect();
  const auto first = bench.requests();
  REQUIRE(first.size() == 1);
  CHECK(first[0].segments[0].parameter == 2);
  CHECK((first[0].header.flags & wire::kFlagEndOfStep) == 0);
  bench.worker.ready(model, 1, bench.driver.now, bench.driver.out);
  bench.worker.ready(model, 0, bench.driver.now, bench.driver.out);
  bench.driver.collect();
  CHECK(bench.requests().size() == 1);
  const Ticket ticket = bench.end_step(model);
  const auto last = bench.requests();
  REQUIRE(last.size() == 1);
  CHECK((last[0].header.flags & wire::kFlagEndOfStep) != 0);
  CHECK_FALSE(bench.ended(ticket));
}

TEST_CASE("worker: one model's step does not wait for the end of another's", "[unit]") {
  Bench bench;
  const auto first = bench.add_model("first", Async{});
  const auto second = bench.add_model("second", Async{});
  bench.worker.begin_step(first, {}, bench.driver.now, bench.driver.out);
  bench.worker.ready(first, 0, bench.driver.now, bench.driver.out);
  const Ticket ticket = bench.step(second);
  const auto sent = bench.requests();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].header.model == 1);
  bench.answer(sent[0]);
  CHECK(bench.ended(ticket));
  bench.end_step(first);
  CHECK(bench.requests().size() == 1);
}

TEST_CASE("worker: a step is not over while a message of it waits for room", "[unit]") {
  Bench bench(100 << 10);
  const auto large = bench.add_model("large", Async{}, 1, 16 << 10);
  const auto small = bench.add_model("small", Async{}, 2, 16 << 10);
  const Ticket first = bench.step(large);  // 64 KiB of the 100 KiB window
  const Ticket second = bench.step(small);
  auto sent = bench.requests();
  REQUIRE(sent.size() == 1);
  bench.answer(sent[0]);
  CHECK(bench.ended(first));
  sent = bench.requests();
  REQUIRE(sent.size() == 1);
  CHECK((sent[0].header.flags & wire::kFlagReceipt) != 0);
  bench.answer(sent[0], wire::Status::kWorking);  // the shard has it: there is room again
  const auto last = bench.requests();
  REQUIRE(last.size() == 1);
  bench.answer(sent[0]);
  CHECK_FALSE(bench.ended(second));
  bench.answer(last[0]);
  CHECK(bench.ended(second));
}

TEST_CASE("worker: in ssp mode it holds nobody back in a barrier and returns with fresh weights",
          "[unit]") {
  Bench bench;
  const auto model = bench.add_model("m", Ssp{.staleness = 1});
  bench.worker.collective(++bench.last_ticket, {}, bench.driver.now, bench.driver.out);
  const Ticket barrier = bench.last_ticket;
  bench.driver.collect();
  auto sent = bench.requests();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].header.flags == wire::kFlagRetire);
  bench.answer(sent[0]);
  bench.from_scheduler(wire::CollectiveResult{0, {}});
  CHECK_FALSE(bench.ended(barrier));
  sent = bench.requests();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].header.type == wire::Type::kPull);
  CHECK((sent[0].header.flags & wire::kFlagJoin) != 0);
  auto reply = bench.reply_to(sent[0]);
  reply.header.clock = 12;  // where the others are
  bench.driver.receive(kShard0, reply);
  CHECK(bench.ended(barrier));
  CHECK(bench.worker.clock(model) == 12);
  bench.step(model);
  CHECK(bench.requests().size() == 1);
}

// Three parameters of two messages each; the last one's leave at once.
struct Arrival {
  explicit Arrival(const Consistency& mode) : model(bench.add_model("m", mode, 3, 32 << 10)) {
    bench.worker.begin_step(model, {}, bench.driver.now, bench.driver.out);
    bench.worker.ready(model, 2, bench.driver.now, bench.driver.out);
    bench.driver.collect();
    early = bench.requests();
    REQUIRE(early.size() == 2);
  }
  // The others, each parameter's two one after the other.
  std::vector<wire::Message> end() {
    ticket = bench.end_step(model);
    auto sent = bench.requests();
    REQUIRE(sent.size() == 4);
    return sent;
  }
  const std::vector<std::uint32_t>& arrived() { return bench.done.arrivals[ticket]; }

  Bench bench;
  std::size_t model;
  std::vector<wire::Message> early;
  Ticket ticket = 0;
};

using Parameters = std::vector<std::uint32_t>;

TEST_CASE("worker: a parameter has arrived when all of it has, whatever comes first or twice",
          "[unit]") {
  Arrival step(GENERATE(values<Consistency>({Sync{}, Async{}, Ssp{}})));
  Bench& bench = step.bench;
  for (const auto& one : step.early) bench.answer(one);
  CHECK(bench.done.arrivals.empty());  // nobody can wait for it yet
  const auto sent = step.end();
  CHECK(step.arrived() == Parameters{2});
  bench.answer(sent[3]);
  bench.answer(sent[0], wire::Status::kWorking);
  bench.answer(sent[0]);
  bench.answer(sent[0]);  // an echo, which is no second half
  CHECK(step.arrived() == Parameters{2});
  bench.answer(sent[2]);
  CHECK(step.arrived() == Parameters{2, 1});
  CHECK_FALSE(bench.ended(step.ticket));
  bench.answer(sent[1]);
  CHECK(step.arrived() == Parameters{2, 1, 0});
  CHECK(bench.ended(step.ticket));
  // The next step counts anew.
  const Ticket next = bench.step(step.model);
  const auto again = bench.requests();
  REQUIRE(again.size() == 6);
  bench.answer(again[0]);
  CHECK(bench.done.arrivals[next].empty());
  bench.answer(again[1]);
  CHECK(bench.done.arrivals[next] == Parameters{0});
}

TEST_CASE("worker: an answer from the shard that does not know the request is no arrival",
          "[unit]") {
  Arrival step(Sync{});
  Bench& bench = step.bench;
  const auto sent = step.end();
  bench.answer(sent[0]);
  bench.answer(sent[1], wire::Status::kUnknown);
  const auto again = bench.requests();
  REQUIRE(again.size() == 1);
  CHECK(step.arrived().empty());
  bench.answer(again[0]);
  CHECK(step.arrived() == Parameters{0});
  bench.answer(sent[1]);  // late, to the first of the two
  CHECK(step.arrived() == Parameters{0});
}

TEST_CASE("worker: where weights may be fetched once more no parameter arrives before the step",
          "[unit]") {
  Arrival step(Sync{.backup_workers = 1});
  Bench& bench = step.bench;
  for (const auto& one : step.early) bench.answer(one);
  const auto sent = step.end();
  for (std::size_t i = 0; i + 1 < sent.size(); ++i) bench.answer(sent[i]);
  auto late = bench.reply_to(sent.back());
  late.header.status = wire::Status::kLate;
  late.segments[0].version = 5;
  bench.driver.receive(kShard0, late);
  const auto pulls = bench.requests();
  CHECK(pulls.size() == 6);  // until all are of version 5
  CHECK_FALSE(bench.ended(step.ticket));
  CHECK(bench.done.arrivals[step.ticket].empty());
}

TEST_CASE("worker: after an answer that came late nothing arrives before the step", "[unit]") {
  Arrival step(Sync{});
  Bench& bench = step.bench;
  const auto sent = step.end();
  auto late = bench.reply_to(sent[0]);
  late.header.status = wire::Status::kLate;
  bench.driver.receive(kShard0, late);
  for (std::size_t i = 1; i < sent.size(); ++i) bench.answer(sent[i]);
  CHECK(step.arrived().empty());
}

TEST_CASE("worker: what arrives where workers have weights of their own is not told", "[unit]") {
  Arrival step(GENERATE(values<Consistency>({LocalSgd{}, Easgd{}})));
  for (const auto& one : step.early) step.bench.answer(one);
  for (const auto& one : step.end()) step.bench.answer(one);
  CHECK(step.arrived().empty());
}

TEST_CASE("worker: leaves when the scheduler says so", "[unit]") {
  Bench bench;
  bench.worker.leave(++bench.last_ticket, bench.driver.now, bench.driver.out);
  const Ticket ticket = bench.last_ticket;
  bench.driver.collect();
  CHECK(bench.driver.controls<wire::Leave>().size() == 1);
  bench.driver.advance(std::chrono::milliseconds(1200));
  CHECK(bench.driver.controls<wire::Leave>().size() == 2);
  bench.view.workers[1].state = wire::WorkerInfo::State::kLeft;
  bench.driver.take();
  bench.tell_view();
  CHECK(bench.ended(ticket));
  CHECK(bench.failure(ticket).empty());
  CHECK(bench.worker.finished());
  REQUIRE(bench.driver.controls<wire::Heartbeat>().size() == 1);  // it knows
  CHECK(bench.driver.controls<wire::Heartbeat>()[0].second.revision == bench.view.revision);
}

TEST_CASE("worker: a snapshot takes exactly what it asked for", "[unit]") {
  Bench bench;
  const auto model = bench.add_model("m", Sync{});
  bench.weights[0].as<float>()[0] = 5;
  bench.worker.save(++bench.last_ticket, model, bench.driver.now, bench.driver.out);
  bench.driver.collect();
  const auto sent = bench.requests();
  REQUIRE(sent.size() == 1);
  REQUIRE(sent[0].segments.size() == 2);
  CHECK(sent[0].segments[0].part == wire::Part::kCounters);
  CHECK(sent[0].segments[1].part == wire::Part::kWeights);
  auto reply = bench.reply_to(sent[0]);
  reply.segments[0].bytes = 16;
  for (auto& segment : reply.segments) segment.version = 9;
  const Memory memory = Memory::allocate(32);
  memory.as<std::uint64_t>()[0] = 7;
  memory.as<std::uint64_t>()[1] = 70;
  memory.as<float>()[4] = 2;
  reply.payload = memory.buffer();
  SECTION("whole") {
    bench.driver.receive(kShard0, reply);
    const Outcome& outcome = bench.done.outcomes.at(bench.last_ticket);
    REQUIRE_FALSE(outcome.failure);
    const Snapshot& snapshot = outcome.snapshot;
    REQUIRE(snapshot.parameters.size() == 1);
    CHECK(snapshot.samples == 70);
    CHECK(snapshot.parameters[0].counts == std::vector<Snapshot::Counts>{{0, 9, 7}});
    CHECK(snapshot.parameters[0].parts.at(wire::Part::kWeights).as<float>()[0] == 2);
    CHECK(bench.weights[0].as<float>()[0] == 5);  // the user's stay as they are
    CHECK(bench.ended(bench.step(model)) == false);
  }
  SECTION("another part") {
    reply.segments[1].part = wire::Part::kAverage;
    bench.driver.receive(kShard0, reply);
    CHECK_THAT(bench.failure(bench.last_ticket), Catch::Contains("than it was asked for"));
  }
  SECTION("elsewhere") {
    reply.segments[1].offset = 4;
    bench.driver.receive(kShard0, reply);
    CHECK_THAT(bench.failure(bench.last_ticket), Catch::Contains("than it was asked for"));
  }
  SECTION("less") {
    reply.segments.pop_back();
    reply.payload = memory.buffer(0, 16);
    bench.driver.receive(kShard0, reply);
    CHECK_THAT(bench.failure(bench.last_ticket), Catch::Contains("than it was asked for"));
  }
  SECTION("of two versions") {
    reply.segments[1].version = 10;
    bench.driver.receive(kShard0, reply);
    CHECK_THAT(bench.failure(bench.last_ticket), Catch::Contains("changed between two"));
  }
}

}  // namespace ps::worker
