#include "cluster/node.h"

#include <deque>
#include <vector>

#include "support/catch.h"
#include "wire/control.h"

namespace ps::cluster {
namespace {

// Takes frames while `room` lasts.
class FakeTransport final : public net::Transport {
 public:
  std::string bind(const std::string& endpoint) override { return endpoint; }
  void connect(net::Link /*link*/, const std::string& /*endpoint*/) override {}
  void disconnect(net::Link /*link*/) override {}
  net::SendResult send(net::Link link, const net::Frames& frames) override {
    if (link == 99) return net::SendResult::kUnreachable;
    if (room == 0) return net::SendResult::kFull;
    --room;
    sent.emplace_back(link, frames);
    return net::SendResult::kSent;
  }
  bool receive(net::Link& from, net::Frames& frames) override {
    if (inbox.empty()) return false;
    std::tie(from, frames) = std::move(inbox.front());
    inbox.pop_front();
    return true;
  }
  [[nodiscard]] int fd() const noexcept override { return -1; }
  [[nodiscard]] bool needs_checksum(net::Link /*link*/) const noexcept override { return true; }

  int room = 1000;
  std::vector<std::pair<net::Link, net::Frames>> sent;
  std::deque<std::pair<net::Link, net::Frames>> inbox;
};

class FakeCore final : public Core {
 public:
  void on_start(TimePoint /*now*/, Outbox& /*out*/) override {}
  void on_message(net::Link from, wire::Message message, TimePoint /*now*/, Outbox& out) override {
    sequences.push_back(message.header.sequence);
    out.send(from, std::move(message));
  }
  void on_bad_message(net::Link /*from*/,
                      const wire::DecodeError& /*error*/,
                      TimePoint /*now*/,
                      Outbox& /*out*/) override {
    ++bad;
  }
  void on_time(TimePoint /*now*/, Outbox& /*out*/) override { ++timers; }
  [[nodiscard]] TimePoint next_time() const override { return due; }
  [[nodiscard]] bool finished() const override { return false; }

  std::vector<std::uint64_t> sequences;
  int bad = 0;
  int timers = 0;
  TimePoint due = kNever;
};

net::Frames frames_of(std::uint64_t sequence) {
  wire::Message message;
  message.header.type = wire::Type::kPull;
  message.header.sequence = sequence;
  return {Buffer::copy_of(wire::encode_header(message, true)), {}};
}

std::vector<std::uint64_t> sequences_of(const FakeTransport& transport) {
  std::vector<std::uint64_t> sequences;
  for (const auto& [link, frames] : transport.sent) {
    const auto decoded = wire::decode(frames.header.bytes(), frames.payload);
    sequences.push_back(std::get<wire::Message>(decoded).header.sequence);
  }
  return sequences;
}

struct Bench {
  FakeTransport transport;
  FakeCore core;
  Node node{transport, core, Log()};
  TimePoint now{std::chrono::seconds(1)};
};

}  // namespace

TEST_CASE("node: frames without room wait in order and go when there is some", "[unit]") {
  Bench bench;
  bench.transport.room = 1;
  for (std::uint64_t i = 1; i <= 4; ++i) bench.transport.inbox.emplace_back(7, frames_of(i));
  bench.node.pump(bench.now);
  CHECK(bench.core.sequences == std::vector<std::uint64_t>{1, 2, 3, 4});
  CHECK(sequences_of(bench.transport) == std::vector<std::uint64_t>{1});
  CHECK(bench.node.blocked());
  CHECK(bench.node.next_time(bench.now) < bench.now + std::chrono::milliseconds(10));
  bench.transport.room = 2;
  bench.node.pump(bench.now);
  CHECK(sequences_of(bench.transport) == std::vector<std::uint64_t>{1, 2, 3});
  bench.transport.room = 10;
  bench.node.pump(bench.now);
  CHECK(sequences_of(bench.transport) == std::vector<std::uint64_t>{1, 2, 3, 4});
  CHECK_FALSE(bench.node.blocked());
  CHECK(bench.node.next_time(bench.now) == kNever);
}

TEST_CASE("node: what waits for a link that never has room is bounded", "[unit]") {
  Bench bench;
  bench.transport.room = 0;
  for (std::uint64_t i = 0; i < 5000; ++i) bench.transport.inbox.emplace_back(7, frames_of(i));
  while (!bench.transport.inbox.empty()) bench.node.pump(bench.now);
  CHECK(bench.node.counters().dropped == 5000 - 4096);
}

TEST_CASE("node: bytes that are no message are counted and told, one message to nowhere is dropped",
          "[unit]") {
  Bench bench;
  net::Frames broken = frames_of(1);
  const Memory copy = Memory::allocate(broken.header.size());
  std::ranges::copy(broken.header.bytes(), copy.bytes().begin());
  copy.bytes()[20] ^= std::byte{1};
  bench.transport.inbox.emplace_back(7, net::Frames{copy.buffer(), {}});
  bench.transport.inbox.emplace_back(99, frames_of(2));
  bench.node.pump(bench.now);
  CHECK(bench.core.bad == 1);
  CHECK(bench.node.counters().undecodable == 1);
  CHECK(bench.node.counters().dropped == 1);
  CHECK(bench.transport.sent.empty());
}

TEST_CASE("node: tells a peer of another version which one it speaks, in words that do no harm",
          "[unit]") {
  Bench bench;
  net::Frames other = frames_of(1);
  const Memory copy = Memory::allocate(other.header.size());
  std::ranges::copy(other.header.bytes(), copy.bytes().begin());
  copy.bytes()[4] = std::byte{9};
  for (const net::Link link : {net::Link{1}, net::kAcceptedBit + 5})
    bench.transport.inbox.emplace_back(link, net::Frames{copy.buffer(), {}});
  bench.node.pump(bench.now);
  REQUIRE(bench.transport.sent.size() == 1);
  CHECK(bench.transport.sent[0].first == net::kAcceptedBit + 5);
  const auto& frames = bench.transport.sent[0].second;
  const auto decoded = wire::decode(frames.header.bytes(), frames.payload);
  const auto control = wire::decode_control(std::get<wire::Message>(decoded).payload.bytes());
  CHECK(std::holds_alternative<wire::HeartbeatAck>(std::get<wire::Control>(control)));
}

TEST_CASE("node: a flood does not hold back the timers", "[unit]") {
  Bench bench;
  bench.core.due = bench.now;
  for (std::uint64_t i = 0; i < 3000; ++i) bench.transport.inbox.emplace_back(7, frames_of(i));
  bench.node.pump(bench.now);
  CHECK(bench.core.timers == 1);
  CHECK_FALSE(bench.transport.inbox.empty());
}

}  // namespace ps::cluster
