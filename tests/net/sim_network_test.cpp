// The simulated network: each fault does what it says, and the same seed does it again.
#include "net/sim_network.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>

#include "net/transport_contract.h"
#include "support/catch.h"

// NOLINTBEGIN(readability-function-cognitive-complexity): Catch's macros count as branches

using namespace ps::net;               // NOLINT(google-build-using-namespace): tests
using namespace ps::net::test;         // NOLINT(google-build-using-namespace): tests
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): tests

namespace {

constexpr SimNode kServer = 1;
constexpr SimNode kClient = 2;

std::uint64_t number_of(const Frames& frames) {
  std::uint64_t number = 0;
  std::memcpy(&number, frames.header.data(), sizeof number);
  return number;
}

// One server, one client with an open link.
struct World {
  explicit World(std::uint64_t seed)
      : network(seed), server(network.join(kServer)), client(network.join(kClient)) {
    server.transport->bind("sim://server");
    client.transport->connect(kLink, "sim://server");
  }
  void send(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      REQUIRE(client.transport->send(kLink, message(next++, 16)) == SendResult::kSent);
    }
  }
  void run_for(ps::Duration duration) {
    network.deliver_until(network.now() + duration);
    server.drain();
    client.drain();
  }
  [[nodiscard]] std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> all;
    for (const Arrived& arrived : server.inbox) all.push_back(number_of(arrived.frames));
    return all;
  }

  SimNetwork network;
  Node server;
  Node client;
  std::uint64_t next = 0;
};

}  // namespace

TEST_CASE("sim network: a message takes its delay, no more and no less", "[unit]") {
  World world(1);
  world.network.set_faults({.delay_min = 5ms, .delay_max = 5ms});
  CHECK(world.network.next_event() == world.network.now());  // the connection was made
  CHECK(world.network.deliver_until(world.network.now()) == std::vector<SimNode>{kClient});
  CHECK(world.network.next_event() == ps::kNever);
  world.send(1);
  const ps::TimePoint due = world.network.now() + 5ms;
  CHECK(world.network.next_event() == due);
  CHECK(world.network.deliver_until(due - 1ns).empty());
  CHECK_FALSE(world.server.drain());
  CHECK(world.network.deliver_until(due) == std::vector<SimNode>{kServer});
  CHECK(world.server.drain());
  CHECK(world.network.now() == due);
}

TEST_CASE("sim network: random delays keep the order of a link", "[unit]") {
  World world(2);
  world.network.set_faults({.delay_min = 1ms, .delay_max = 20ms});
  world.send(200);
  world.run_for(1s);
  REQUIRE(world.server.inbox.size() == 200);
  const auto numbers = world.numbers();
  CHECK(std::is_sorted(numbers.begin(), numbers.end()));
}

TEST_CASE("sim network: drop loses some, duplicate repeats some, and they are counted", "[unit]") {
  World world(3);
  const bool drops = GENERATE(true, false);
  world.network.set_faults({.drop = drops ? 0.25 : 0, .duplicate = drops ? 0 : 0.25});
  for (int batch = 0; batch < 8; ++batch) {
    world.send(100);
    world.run_for(1s);
  }
  const SimFaultCounts& counts = world.network.counts();
  const std::uint64_t faults = drops ? counts.dropped : counts.duplicated;
  CHECK(faults > 100);
  CHECK(faults < 300);
  CHECK(counts.sent == 800);
  CHECK(world.server.inbox.size() == (drops ? 800 - faults : 800 + faults));
  const auto numbers = world.numbers();
  const std::set<std::uint64_t> distinct(numbers.begin(), numbers.end());
  CHECK(distinct.size() == (drops ? 800 - faults : 800));
}

TEST_CASE("sim network: reorder breaks the order and loses nothing", "[unit]") {
  World world(4);
  world.network.set_faults({.delay_min = 1ms, .delay_max = 1ms, .reorder = 0.2});
  for (int i = 0; i < 200; ++i) {
    world.send(1);
    world.run_for(100us);
  }
  world.run_for(1s);
  auto numbers = world.numbers();
  REQUIRE(numbers.size() == 200);
  CHECK_FALSE(std::is_sorted(numbers.begin(), numbers.end()));
  std::sort(numbers.begin(), numbers.end());
  for (std::uint64_t n = 0; n < 200; ++n) CHECK(numbers[n] == n);
  CHECK(world.network.counts().reordered > 10);
}

TEST_CASE("sim network: a flip inverts one bit and leaves the sender's bytes alone", "[unit]") {
  World world(5);
  world.network.set_faults(kClient, kServer, {.flip = 1});
  const Frames sent = message(9, 100);
  REQUIRE(world.client.transport->send(kLink, sent) == SendResult::kSent);
  world.run_for(1ms);
  CHECK(is_message(sent, 9, 100));
  REQUIRE(world.server.inbox.size() == 1);
  const Frames& came = world.server.inbox[0].frames;
  int flipped = 0;
  const auto count = [&](const ps::Buffer& a, const ps::Buffer& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      flipped += __builtin_popcount(std::to_integer<unsigned>(a.data()[i] ^ b.data()[i]));
    }
  };
  count(sent.header, came.header);
  count(sent.payload, came.payload);
  CHECK(flipped == 1);
  // The other direction has no fault.
  REQUIRE(world.server.transport->send(world.server.inbox[0].from, sent) == SendResult::kSent);
  world.run_for(1ms);
  CHECK(is_message(world.client.inbox.at(0).frames, 9, 100));
}

TEST_CASE("sim network: a partition loses what is sent or due in it, each way for itself",
          "[unit]") {
  World world(6);
  world.network.set_faults({.delay_min = 10ms, .delay_max = 10ms});
  world.send(1);
  world.run_for(10ms);
  REQUIRE(world.server.inbox.size() == 1);
  const Link back = world.server.inbox[0].from;
  const bool one_way = GENERATE(true, false);
  const ps::TimePoint heals = world.network.now() + 100ms;
  world.send(1);  // in flight when the partition begins
  if (one_way) {
    world.network.cut(kClient, kServer, heals);
  } else {
    world.network.partition(kServer, kClient, heals);
  }
  world.send(1);  // during it
  REQUIRE(world.server.transport->send(back, message(0, 1)) == SendResult::kSent);
  world.run_for(95ms);
  world.send(1);  // during it, though due after it
  world.run_for(5ms);
  world.send(1);  // after it
  world.run_for(1s);
  CHECK(world.numbers() == std::vector<std::uint64_t>{0, 4});
  CHECK(world.client.inbox.size() == (one_way ? 1 : 0));
  CHECK(world.network.counts().partitioned == (one_way ? 3 : 4));
}

TEST_CASE("sim network: a reset loses the tail in flight, and the link comes back", "[unit]") {
  World world(7);
  world.network.set_faults({.delay_min = 10ms, .delay_max = 10ms});
  world.send(1);
  world.run_for(5ms);
  world.send(1);
  world.run_for(6ms);  // the first has arrived, the second is in flight
  SECTION("by order of the driver") {
    world.network.reset_connections(kClient, kServer);
  }
  SECTION("by chance") {
    world.network.set_faults({.reset = 1});
    world.send(1);
    world.network.set_faults({});
  }
  world.send(1);  // nobody has noticed yet: lost
  world.run_for(SimNetwork::kReconnectDelay);
  CHECK(world.server.inbox.size() == 1);
  const Link old_link = world.server.inbox[0].from;
  world.send(1);
  world.run_for(1s);
  REQUIRE(world.server.inbox.size() == 2);
  CHECK(world.server.inbox[1].from != old_link);
  CHECK(world.server.transport->send(old_link, {}) == SendResult::kUnreachable);
  CHECK(world.network.counts().reset == 1);
  CHECK(world.network.counts().lost >= 2);
}

TEST_CASE("sim network: what is in flight from a crashed node arrives, to it is lost", "[unit]") {
  World world(8);
  world.network.set_faults({.delay_min = 10ms, .delay_max = 10ms});
  world.send(1);
  world.run_for(10ms);
  const Link back = world.server.inbox[0].from;
  world.send(3);
  REQUIRE(world.server.transport->send(back, message(0, 1)) == SendResult::kSent);
  world.client.transport.reset();                                                   // crash
  REQUIRE(world.server.transport->send(back, message(0, 1)) == SendResult::kSent);  // unnoticed
  world.network.deliver_until(world.network.now() + 1s);
  world.server.drain();
  CHECK(world.server.inbox.size() == 4);
  CHECK(world.network.counts().lost == 2);
  CHECK(world.server.transport->send(back, {}) == SendResult::kUnreachable);
  // Its next life starts afresh.
  world.client = Node(world.network.join(kClient));
  world.client.transport->connect(kLink, "sim://server");
  world.send(1);
  world.run_for(1s);
  CHECK(world.server.inbox.size() == 5);
  CHECK(world.server.inbox[4].from != back);
}

TEST_CASE("sim network: a server that crashes and restarts is found again", "[unit]") {
  World world(9);
  world.send(1);
  world.run_for(1ms);
  world.server.transport.reset();
  world.network.deliver_until(world.network.now() + 1s);
  CHECK(world.client.transport->send(kLink, {}) == SendResult::kFull);
  world.server = Node(world.network.join(kServer));
  world.server.transport->bind("sim://server");
  world.send(1);
  world.run_for(1ms);
  CHECK(world.server.inbox.size() == 1);
}

TEST_CASE("sim network: a transport may outlive its network", "[unit]") {
  std::unique_ptr<Transport> survivor;
  {
    World world(10);
    world.send(2);
    survivor = std::move(world.client.transport);
  }
  CHECK(survivor->send(kLink, {}) == SendResult::kSent);
}

TEST_CASE("sim network: equal seeds give equal traces, others do not", "[unit]") {
  using Entry = std::tuple<ps::TimePoint, SimNode, Link, std::uint64_t>;
  const auto trace_of = [](std::uint64_t seed) {
    SimNetwork network(seed);
    network.set_faults({.delay_min = 1ms,
                        .delay_max = 9ms,
                        .drop = 0.1,
                        .duplicate = 0.1,
                        .reorder = 0.1,
                        .flip = 0.05,
                        .reset = 0.01});
    std::vector<Node> nodes;
    for (SimNode node = 0; node < 4; ++node) nodes.emplace_back(network.join(node));
    for (SimNode node = 0; node < 4; ++node) {
      nodes[node].transport->bind("sim://" + std::to_string(node));
      for (SimNode other = 0; other < 4; ++other) {
        if (other != node) nodes[node].transport->connect(other, "sim://" + std::to_string(other));
      }
    }
    std::vector<Entry> trace;
    std::uint64_t number = 0;
    for (int round = 0; round < 200; ++round) {
      for (Node& node : nodes) {
        for (Link link = 0; link < 4; ++link) node.transport->send(link, message(++number, 8));
      }
      for (const SimNode node : network.deliver_until(network.now() + 3ms)) {
        nodes[node].drain();
        for (const Arrived& arrived : nodes[node].inbox) {
          trace.emplace_back(network.now(), node, arrived.from, number_of(arrived.frames));
        }
        nodes[node].inbox.clear();
      }
    }
    return trace;
  };
  const auto trace = trace_of(42);
  CHECK(trace.size() > 1000);
  CHECK(trace == trace_of(42));
  CHECK(trace != trace_of(43));
}

// NOLINTEND(readability-function-cognitive-complexity)
