#include "cluster/scheduler.h"

#include <algorithm>

#include "support/catch.h"
#include "support/core_driver.h"

namespace ps::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr wire::JobId kJob{1, 2};

net::Link link_of(const wire::Sender& who) {
  return net::kAcceptedBit + who.index + (who.role == wire::Role::kServer ? 100 : 0);
}

wire::Sender worker(std::uint32_t rank) {
  return {wire::Role::kWorker, rank};
}
wire::Sender shard(std::uint32_t index) {
  return {wire::Role::kServer, index};
}

wire::Register registration() {
  wire::Register request;
  request.name = "mlp";
  request.parameters = {{"w", {4, 5}, ParameterKind::kTrained},
                        {"b", {5}, ParameterKind::kTrained}};
  return request;
}

struct Bench {
  explicit Bench(OnFailure on_failure = OnFailure::kStop)
      : scheduler({.job = kJob, .workers = 2, .shards = 1, .on_failure = on_failure, .timing = {}}),
        driver(scheduler) {
    driver.start();
  }

  void say(const wire::Sender& who, const wire::Control& control, wire::JobId job = kJob) {
    wire::Header header;
    header.job = job;
    header.sender = who;
    header.incarnation = incarnations[who.index + (who.role == wire::Role::kServer ? 100 : 0)];
    driver.receive(link_of(who), header, control);
  }
  // Joins, and takes the incarnation it is given.
  void join(const wire::Sender& who, std::uint64_t nonce = 1) {
    driver.take();
    say(who, wire::Join{who.role, who.index, nonce, "sim://x", "test"});
    for (const auto& [link, joined] : driver.controls<wire::Joined>()) {
      if (link == link_of(who))
        incarnations[who.index + (who.role == wire::Role::kServer ? 100 : 0)] = joined.incarnation;
    }
  }
  void join_all() {
    join(worker(0));
    join(worker(1));
    join(shard(0));
    driver.take();
  }
  void beat(const wire::Sender& who, std::uint64_t step = 0) {
    say(who, wire::Heartbeat{scheduler.view().revision, step, "step"});
  }
  // The text with which a link was refused.
  std::string refusal(const wire::Sender& who) {
    for (const auto& [link, refused] : driver.controls<wire::Refused>()) {
      if (link == link_of(who)) return refused.text;
    }
    return "";
  }
  [[nodiscard]] wire::View::Phase phase() const { return scheduler.view().phase; }
  [[nodiscard]] wire::WorkerInfo::State state(std::uint32_t rank) const {
    return scheduler.view().workers[rank].state;
  }

  Scheduler scheduler;
  CoreDriver driver;
  std::map<std::uint32_t, std::uint32_t> incarnations;
};

using Phase = wire::View::Phase;
using State = wire::WorkerInfo::State;

}  // namespace

TEST_CASE("scheduler: the job runs once all members have joined", "[unit]") {
  Bench bench;
  bench.join(worker(0));
  bench.join(shard(0));
  CHECK(bench.phase() == Phase::kGathering);
  const auto generation = bench.scheduler.view().generation;
  bench.join(worker(1));
  CHECK(bench.phase() == Phase::kRunning);
  CHECK(bench.scheduler.view().generation == generation + 1);
  CHECK(bench.driver.controls<wire::View>().size() == 3);  // everybody is told
  CHECK(bench.incarnations[0] != bench.incarnations[1]);
}

TEST_CASE("scheduler: a join that comes again changes nothing", "[unit]") {
  Bench bench;
  bench.join(worker(0));
  const auto first = bench.incarnations[0];
  const auto revision = bench.scheduler.view().revision;
  bench.join(worker(0));
  CHECK(bench.incarnations[0] == first);
  CHECK(bench.scheduler.view().revision == revision);
  CHECK(bench.driver.controls<wire::View>().size() == 1);
}

TEST_CASE("scheduler: a second process of the same rank is refused by name", "[unit]") {
  Bench bench;
  bench.join_all();
  bench.join(worker(1), 2);
  CHECK_THAT(bench.refusal(worker(1)), Catch::Contains("worker 1 is already a member"));
  CHECK(bench.phase() == Phase::kRunning);
}

TEST_CASE("scheduler: strangers are refused", "[unit]") {
  Bench bench;
  bench.join(worker(2));
  CHECK_THAT(bench.refusal(worker(2)), Catch::Contains("does not belong to this job of 2 workers"));
  bench.driver.take();
  bench.say(worker(0), wire::Join{wire::Role::kWorker, 0, 1, "", ""}, {9, 9});
  CHECK_THAT(bench.refusal(worker(0)), Catch::Contains("another job"));
  bench.driver.take();
  bench.say(worker(0), wire::Join{wire::Role::kServer, 0, 1, "", ""});  // not what its header says
  CHECK_FALSE(bench.refusal(worker(0)).empty());
  bench.driver.take();
  bench.say(worker(0), wire::Heartbeat{});
  CHECK_THAT(bench.refusal(worker(0)), Catch::Contains("no member"));
  bench.driver.take();
  wire::Message junk;
  junk.header.type = wire::Type::kControl;
  junk.payload = Buffer::copy_of(std::as_bytes(std::span("junk")));
  bench.driver.receive(5, junk);
  CHECK(bench.driver.controls<wire::Refused>().size() == 1);
  CHECK(bench.phase() == Phase::kGathering);
}

TEST_CASE("scheduler: who did not join in time is named", "[unit]") {
  Bench bench;
  bench.join(worker(1));
  for (int i = 0; i < 70; ++i) {
    bench.beat(worker(1));
    bench.driver.advance(seconds(1));
  }
  CHECK_THAT(bench.scheduler.failure(),
             Catch::Contains("not all members joined within 60.0 s; missing: worker 0, shard 0"));
}

TEST_CASE("scheduler: a model is ready when all have registered and allocated it", "[unit]") {
  Bench bench;
  bench.join_all();
  bench.say(worker(0), registration());
  REQUIRE(bench.scheduler.view().models.size() == 1);
  const auto& model = bench.scheduler.view().models[0];
  CHECK(model.placement.size() == 2);
  CHECK(model.options.chunk_bytes == 4096);  // the one in force
  bench.say(shard(0), wire::Allocated{model.id});
  CHECK_FALSE(bench.scheduler.view().models[0].ready);
  bench.say(worker(1), registration());
  CHECK(bench.scheduler.view().models[0].ready);
  const auto revision = bench.scheduler.view().revision;
  bench.say(worker(1), registration());
  bench.say(shard(0), wire::Allocated{model.id});
  bench.say(shard(0), wire::Allocated{17});
  CHECK(bench.scheduler.view().revision == revision);
}

TEST_CASE("scheduler: tables that differ end the job, naming both workers and the difference",
          "[unit]") {
  Bench bench;
  bench.join_all();
  bench.say(worker(1), registration());
  auto other = registration();
  other.parameters[0].shape = {4, 6};
  bench.say(worker(0), other);
  CHECK_THAT(bench.scheduler.failure(),
             Catch::Contains("model 'mlp' differs between worker 1 (there) and worker 0 (here)") &&
                 Catch::Contains("[4, 5]") && Catch::Contains("[4, 6]"));
}

TEST_CASE("scheduler: a model that no view could carry is refused", "[unit]") {
  Bench bench;
  bench.join_all();
  auto huge = registration();
  huge.options.chunk_bytes = 4;
  huge.parameters[0].shape = {1 << 18};  // as many chunks
  const auto revision = bench.scheduler.view().revision;
  bench.say(worker(0), huge);
  CHECK_THAT(bench.refusal(worker(0)), Catch::Contains("model 'mlp' does not fit"));
  CHECK(bench.scheduler.view().models.empty());
  CHECK(bench.scheduler.view().revision == revision);
  bench.say(worker(0), registration());
  CHECK(bench.scheduler.view().models.size() == 1);
}

TEST_CASE("scheduler: a silent member ends the job, with what it did last", "[unit]") {
  Bench bench;
  bench.join_all();
  bench.beat(worker(1), 41);
  for (int i = 0; i < 8; ++i) {
    bench.driver.advance(milliseconds(500));
    bench.beat(worker(0));
    bench.beat(shard(0));
  }
  CHECK_THAT(bench.scheduler.failure(),
             Catch::Contains("worker 1 has been silent for 3.") &&
                 Catch::Contains("last heard in step 41, step") &&
                 Catch::Contains("crashed, hangs, or its host is unreachable"));
  CHECK(bench.phase() == Phase::kStopping);
  CHECK(bench.scheduler.finished());  // the dead need not be told
}

TEST_CASE("scheduler: a dead worker's place is held, and what it still says is refused", "[unit]") {
  Bench bench(OnFailure::kWait);
  bench.join_all();
  const auto old_life = bench.incarnations[1];
  for (int i = 0; i < 8; ++i) {
    bench.driver.advance(milliseconds(500));
    bench.beat(worker(0));
    bench.beat(shard(0));
  }
  CHECK(bench.state(1) == State::kDead);
  CHECK(bench.phase() == Phase::kRunning);
  bench.driver.take();
  bench.say(worker(1), wire::Leave{true, "I was declared dead"});
  CHECK_THAT(bench.refusal(worker(1)), Catch::Contains("no member (any more)"));
  CHECK(bench.phase() == Phase::kRunning);
  bench.join(worker(1), 2);
  CHECK(bench.state(1) == State::kAlive);
  CHECK(bench.incarnations[1] > old_life);
}

TEST_CASE("scheduler: a quick restart takes over from the life before it", "[unit]") {
  Bench bench(OnFailure::kWait);
  bench.join_all();
  const auto old_life = bench.incarnations[1];
  bench.join(worker(1), 2);
  CHECK(bench.incarnations[1] > old_life);
  const auto new_life = std::exchange(bench.incarnations[1], old_life);
  bench.driver.take();
  bench.beat(worker(1));
  CHECK_FALSE(bench.refusal(worker(1)).empty());
  bench.incarnations[1] = new_life;
  bench.driver.take();
  bench.beat(worker(1));
  CHECK(bench.refusal(worker(1)).empty());
}

TEST_CASE("scheduler: a shard's death ends the job even if workers may return", "[unit]") {
  Bench bench(OnFailure::kWait);
  bench.join_all();
  for (int i = 0; i < 8; ++i) {
    bench.driver.advance(milliseconds(500));
    bench.beat(worker(0));
    bench.beat(worker(1));
  }
  CHECK_THAT(bench.scheduler.failure(), Catch::Contains("shard 0 has been silent"));
}

TEST_CASE("scheduler: the job is over when all workers have left, and it stays until they know",
          "[unit]") {
  Bench bench;
  bench.join_all();
  bench.say(worker(0), wire::Leave{});
  CHECK(bench.state(0) == State::kLeft);
  bench.beat(worker(0));  // it knows that it is out, and is gone
  bench.say(worker(1), wire::Leave{});
  CHECK(bench.phase() == Phase::kStopping);
  CHECK(bench.scheduler.failure().empty());
  CHECK_FALSE(bench.scheduler.finished());
  bench.beat(shard(0));
  CHECK_FALSE(bench.scheduler.finished());
  bench.beat(worker(1));
  CHECK(bench.scheduler.finished());
}

TEST_CASE("scheduler: a farewell that nobody confirms ends by itself", "[unit]") {
  Bench bench;
  bench.join_all();
  bench.scheduler.stop("interrupted", bench.driver.now, bench.driver.out);
  bench.driver.collect();
  CHECK(bench.driver.controls<wire::View>().size() == 3);
  CHECK(bench.scheduler.failure() == "interrupted");
  bench.driver.advance(milliseconds(2900));
  CHECK_FALSE(bench.scheduler.finished());
  bench.driver.advance(milliseconds(200));
  CHECK(bench.scheduler.finished());
  bench.scheduler.stop("again", bench.driver.now, bench.driver.out);
  CHECK(bench.scheduler.failure() == "interrupted");
}

TEST_CASE("scheduler: who joins a job that is ending is told why it ends", "[unit]") {
  Bench bench;
  bench.join(worker(0));
  bench.say(worker(0), wire::Leave{true, "no such file"});
  CHECK(bench.scheduler.failure() == "worker 0: no such file");
  bench.join(worker(1));
  CHECK_THAT(bench.refusal(worker(1)),
             Catch::Contains("the job is stopping: worker 0: no such file"));
}

TEST_CASE("scheduler: a lost view is sent again to whoever names an older one", "[unit]") {
  Bench bench;
  bench.join_all();
  bench.say(worker(0), wire::Heartbeat{0, 0, ""});
  CHECK(bench.driver.controls<wire::View>().size() == 1);
  bench.driver.take();
  bench.beat(worker(0));
  CHECK(bench.driver.controls<wire::View>().empty());
  CHECK(bench.driver.controls<wire::HeartbeatAck>().size() == 1);
}

TEST_CASE("scheduler: a barrier that a worker who left can never reach ends the job", "[unit]") {
  Bench bench;
  bench.join_all();
  bench.say(worker(0), wire::Leave{});
  bench.say(worker(1), wire::Collective{0, {}});
  CHECK_THAT(bench.scheduler.failure(),
             Catch::Contains("worker 1 waits in barrier() or reduce() for worker 0"));
}

TEST_CASE("scheduler: everybody gets a collective's sum, and again if asked again", "[unit]") {
  Bench bench;
  bench.join_all();
  bench.say(worker(1), wire::Collective{0, {1, 2}});
  CHECK(bench.driver.controls<wire::CollectiveResult>().empty());
  bench.say(worker(0), wire::Collective{0, {10, 20}});
  const auto results = bench.driver.controls<wire::CollectiveResult>();
  REQUIRE(results.size() == 2);
  CHECK(results[0].second.values == std::vector<double>{11, 22});
  bench.driver.take();
  bench.say(worker(0), wire::Collective{0, {10, 20}});
  CHECK_FALSE(bench.driver.controls<wire::CollectiveResult>().empty());
}

TEST_CASE("scheduler: leases go to who asks, other samples end the job, none are refused",
          "[unit]") {
  Bench bench;
  bench.join_all();
  bench.say(worker(0), wire::LeaseRequest{0, 0, 0, 4, 1});
  CHECK_THAT(bench.refusal(worker(0)), Catch::Contains("no samples"));
  bench.say(worker(0), wire::LeaseRequest{0, 0, 10, 4, 1});
  bench.say(worker(1), wire::LeaseRequest{0, 0, 10, 4, 1});
  const auto grants = bench.driver.controls<wire::LeaseGrant>();
  REQUIRE(grants.size() == 2);
  CHECK(grants[0].second.begin == 0);
  CHECK(grants[1].second.begin == 4);
  bench.say(worker(1), wire::LeaseRequest{1, 0, 11, 4, 1});
  CHECK_THAT(bench.scheduler.failure(), Catch::Contains("worker 1 reads other samples"));
}

}  // namespace ps::cluster
