#include "cluster/agent.h"

#include <variant>

#include "support/catch.h"

namespace ps::cluster {
namespace {

using std::chrono::milliseconds;

constexpr wire::JobId kJob{1, 2};

struct Bench {
  Bench()
      : agent({.job = kJob,
               .self = {wire::Role::kWorker, 3},
               .nonce = 77,
               .scheduler = "sim://scheduler",
               .own_endpoint = {},
               .timing = {}}) {
    agent.start(now, out);
  }

  // What was sent since the last call.
  std::vector<wire::Control> sent() {
    std::vector<wire::Control> controls;
    connects = 0;
    for (auto& action : out.take()) {
      if (std::holds_alternative<Outbox::Connect>(action)) ++connects;
      const auto* send = std::get_if<Outbox::Send>(&action);
      if (send == nullptr) continue;
      CHECK(send->link == kSchedulerLink);
      last_header = send->message.header;
      auto decoded = wire::decode_control(send->message.payload.bytes());
      controls.push_back(std::get<wire::Control>(decoded));
    }
    return controls;
  }
  std::optional<wire::Control> hear(const wire::Control& control, wire::JobId job = kJob) {
    wire::Message message;
    message.header.type = wire::Type::kControl;
    message.header.job = job;
    message.payload = wire::encode_control(control);
    return agent.on_message(message, now, out);
  }
  void advance(Duration by) {
    const TimePoint until = now + by;
    while (agent.next_time() <= until) {
      now = std::max(now, agent.next_time());
      agent.on_time(now, out);
    }
    now = until;
  }
  void join() {
    hear(wire::Joined{5});
    advance(Duration{0});
    sent();
  }

  TimePoint now{std::chrono::seconds(1)};
  Outbox out;
  Agent agent;
  int connects = 0;
  wire::Header last_header;
};

wire::View view(std::uint64_t revision) {
  wire::View view;
  view.revision = revision;
  view.generation = 9;
  view.workers.resize(4);
  return view;
}

template <class T>
std::size_t count(const std::vector<wire::Control>& controls) {
  return static_cast<std::size_t>(std::ranges::count_if(
      controls, [](const auto& control) { return std::holds_alternative<T>(control); }));
}

}  // namespace

TEST_CASE("agent: joins, and asks again until it is answered", "[unit]") {
  Bench bench;
  auto first = bench.sent();
  CHECK(bench.connects == 1);
  REQUIRE(first.size() == 1);
  const auto& join = std::get<wire::Join>(first.front());
  CHECK(join.index == 3);
  CHECK(join.nonce == 77);
  bench.advance(milliseconds(5000));
  CHECK(count<wire::Join>(bench.sent()) >= 2);
  CHECK_FALSE(bench.agent.joined());
  bench.hear(wire::Joined{5});
  CHECK(bench.agent.incarnation() == 5);
  bench.hear(wire::Joined{6});  // an echo
  CHECK(bench.agent.incarnation() == 5);
  bench.advance(milliseconds(1000));
  const auto later = bench.sent();
  CHECK(count<wire::Join>(later) == 0);
  CHECK(count<wire::Heartbeat>(later) >= 2);
}

TEST_CASE("agent: says nothing under no name, and what it was asked as soon as it has one",
          "[unit]") {
  Bench bench;
  bench.sent();
  bench.agent.ask(wire::Collective{0, {}}, bench.now, bench.out);
  bench.advance(milliseconds(4000));
  CHECK(count<wire::Collective>(bench.sent()) == 0);
  CHECK_FALSE(bench.hear(view(1)));  // its Joined got lost
  CHECK(bench.agent.view().revision == 0);
  bench.hear(wire::Joined{5});
  CHECK(count<wire::Collective>(bench.sent()) == 1);
  CHECK(bench.last_header.incarnation == 5);
  CHECK(bench.last_header.job == kJob);
}

TEST_CASE("agent: repeats what it was asked until that is settled", "[unit]") {
  Bench bench;
  bench.join();
  const auto ticket = bench.agent.ask(wire::Leave{}, bench.now, bench.out);
  CHECK(count<wire::Leave>(bench.sent()) == 1);
  bench.advance(milliseconds(1500));
  CHECK(count<wire::Leave>(bench.sent()) == 1);
  bench.agent.settle(ticket);
  bench.advance(milliseconds(1400));
  CHECK(count<wire::Leave>(bench.sent()) == 0);
}

TEST_CASE("agent: keeps the newest view, and asks for one that got lost", "[unit]") {
  Bench bench;
  bench.join();
  CHECK(bench.hear(view(4)));
  CHECK_FALSE(bench.hear(view(3)));
  CHECK_FALSE(bench.hear(view(4)));
  CHECK(bench.agent.view().revision == 4);
  bench.sent();
  bench.hear(wire::HeartbeatAck{6});
  bench.advance(Duration{0});
  const auto beats = bench.sent();
  REQUIRE(count<wire::Heartbeat>(beats) == 1);
  CHECK(std::get<wire::Heartbeat>(beats.front()).revision == 4);
}

TEST_CASE("agent: renews a silent connection, then takes the scheduler for dead", "[unit]") {
  Bench bench;
  bench.join();
  bench.advance(milliseconds(1999));
  bench.sent();
  CHECK(bench.connects == 0);
  bench.advance(milliseconds(10));
  bench.sent();
  CHECK(bench.connects == 1);
  bench.advance(milliseconds(900));
  bench.sent();
  CHECK(bench.connects == 0);
  CHECK_FALSE(bench.agent.failure());
  bench.advance(milliseconds(100));
  REQUIRE(bench.agent.failure());
  CHECK(bench.agent.failure()->code == ErrorCode::kUnavailable);
  CHECK_THAT(bench.agent.failure()->text,
             Catch::Contains("sim://scheduler has not answered for 3"));
  CHECK(bench.agent.next_time() == kNever);
}

TEST_CASE("agent: a scheduler that never answers fails it with another text", "[unit]") {
  Bench bench;
  bench.advance(std::chrono::seconds(31));
  REQUIRE(bench.agent.failure());
  CHECK_THAT(bench.agent.failure()->text, Catch::Contains("is it running?"));
}

TEST_CASE("agent: another job's words are not its own", "[unit]") {
  Bench bench;
  bench.join();
  CHECK_FALSE(bench.hear(wire::Refused{0, "go away"}, {8, 8}));
  CHECK_FALSE(bench.agent.failure());
  bench.hear(wire::Refused{static_cast<std::uint32_t>(ErrorCode::kMismatch), "go away"});
  REQUIRE(bench.agent.failure());
  CHECK(bench.agent.failure()->code == ErrorCode::kMismatch);
  CHECK(bench.agent.failure()->text == "go away");
}

TEST_CASE("agent: the end is confirmed at once, and a failed one is everybody's", "[unit]") {
  Bench bench;
  bench.join();
  auto last = view(7);
  last.phase = wire::View::Phase::kStopping;
  last.failed = true;
  last.reason = "worker 1 died";
  CHECK(bench.hear(last));
  const auto sent = bench.sent();
  REQUIRE(count<wire::Heartbeat>(sent) == 1);
  CHECK(std::get<wire::Heartbeat>(sent.front()).revision == 7);
  REQUIRE(bench.agent.failure());
  CHECK(bench.agent.failure()->code == ErrorCode::kAborted);
  CHECK(bench.agent.failure()->text == "worker 1 died");
}

TEST_CASE("agent: one message of another version may be a flipped bit, three in a row are not",
          "[unit]") {
  Bench bench;
  bench.join();
  const wire::DecodeError other{wire::DecodeError::Code::kVersion, 4, 1, 2};
  bench.agent.on_bad_message({wire::DecodeError::Code::kChecksum, 0, 1, 2});
  for (int i = 0; i < 10; ++i) {
    bench.agent.on_bad_message(other);
    bench.agent.on_bad_message(other);
    bench.hear(wire::HeartbeatAck{});
  }
  CHECK_FALSE(bench.agent.failure());
  for (int i = 0; i < 3; ++i) bench.agent.on_bad_message(other);
  REQUIRE(bench.agent.failure());
  CHECK_THAT(bench.agent.failure()->text, Catch::Contains("another version of the protocol"));
}

}  // namespace ps::cluster
