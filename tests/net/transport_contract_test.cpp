// The contract of Transport over every implementation: messages.
#include "net/transport_contract.h"

#include <cstring>
#include <set>

#include "net/shared_memory.h"
#include "support/catch.h"

// NOLINTBEGIN(readability-function-cognitive-complexity): Catch's macros count as branches

using namespace ps::net;        // NOLINT(google-build-using-namespace): tests
using namespace ps::net::test;  // NOLINT(google-build-using-namespace): tests

namespace {

// Sends without reading at the other end until it is refused; how many were taken.
std::uint64_t fill(Node& sender, Link link, std::size_t bytes) {
  for (std::uint64_t sent = 0; sent < 100'000; ++sent) {
    const SendResult result = sender.transport->send(link, message(sent, bytes));
    if (result == SendResult::kFull) return sent;
    REQUIRE(result == SendResult::kSent);
    sender.drain();
  }
  FAIL("a peer that does not read must be noticed");
  return 0;
}

}  // namespace

TEMPLATE_TEST_CASE("transport: messages of every size make the round trip",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  TestType harness;
  Pair pair(harness);
  std::uint64_t number = 0;
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{4096}, kMiB, 5 * kMiB}) {
    CAPTURE(bytes);
    ++number;
    REQUIRE(harness.wait_sent(pair.client, kLink, message(number, bytes)));
    REQUIRE(harness.wait({&pair.server, &pair.client}, [&] { return !pair.server.inbox.empty(); }));
    CHECK(pair.server.inbox[0].from == pair.accepted);
    CHECK(is_message(pair.server.inbox[0].frames, number, bytes));
    CHECK(reinterpret_cast<std::uintptr_t>(pair.server.inbox[0].frames.payload.data()) % 8 == 0);
    REQUIRE(harness.wait_sent(pair.server, pair.accepted, pair.server.inbox[0].frames));
    REQUIRE(harness.wait({&pair.server, &pair.client}, [&] { return !pair.client.inbox.empty(); }));
    CHECK(pair.client.inbox[0].from == kLink);
    CHECK(is_message(pair.client.inbox[0].frames, number, bytes));
    pair.server.inbox.clear();
    pair.client.inbox.clear();
  }
}

TEMPLATE_TEST_CASE("transport: both frames may be empty, also together",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  TestType harness;
  Pair pair(harness);
  const Frames full = message(3, 100);
  const std::vector<Frames> sent{{}, {full.header, {}}, {{}, full.payload}, full};
  for (const Frames& frames : sent) REQUIRE(harness.wait_sent(pair.client, kLink, frames));
  REQUIRE(
      harness.wait({&pair.server, &pair.client}, [&] { return pair.server.inbox.size() == 4; }));
  for (std::size_t i = 0; i < sent.size(); ++i) {
    CHECK(pair.server.inbox[i].frames.header.size() == sent[i].header.size());
    CHECK(pair.server.inbox[i].frames.payload.size() == sent[i].payload.size());
  }
}

TEMPLATE_TEST_CASE("transport: many links keep their order, and replies find their sender",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  constexpr std::size_t kClients = 8;
  constexpr std::uint64_t kMessages = 50;
  TestType harness;
  Node server = harness.node();
  const std::string endpoint = server.transport->bind(harness.endpoint());
  std::vector<Node> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(harness.node());
    clients[i].transport->connect(i, endpoint);
  }
  std::vector<Node*> all{&server};
  for (Node& client : clients) all.push_back(&client);
  // Client i's messages are 1000 i, 1000 i + 1, ...
  for (std::uint64_t n = 0; n < kMessages; ++n) {
    for (std::size_t i = 0; i < kClients; ++i) {
      REQUIRE(harness.wait_sent(clients[i], i, message(1000 * i + n, 64 * n)));
    }
  }
  REQUIRE(harness.wait(all, [&] { return server.inbox.size() == kClients * kMessages; }));
  std::set<Link> links;
  for (const Arrived& arrived : server.inbox) links.insert(arrived.from);
  REQUIRE(links.size() == kClients);
  for (const Link link : links) {
    const auto came = server.from(link);
    REQUIRE(came.size() == kMessages);
    std::uint64_t first = 0;
    std::memcpy(&first, came[0].frames.header.data(), sizeof first);
    for (std::uint64_t n = 0; n < kMessages; ++n) {
      CHECK(is_message(came[n].frames, first + n, 64 * n));
    }
    REQUIRE(harness.wait_sent(server, link, message(first, 10)));
  }
  for (std::size_t i = 0; i < kClients; ++i) {
    REQUIRE(harness.wait(all, [&] { return clients[i].inbox.size() == 1; }));
    CHECK(clients[i].inbox[0].from == i);
    CHECK(is_message(clients[i].inbox[0].frames, 1000 * i, 10));
  }
}

TEMPLATE_TEST_CASE("transport: one node holds links to many servers",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  constexpr std::size_t kServers = 6;
  TestType harness;
  Node client = harness.node();
  std::vector<Node> servers;
  std::vector<Node*> all{&client};
  for (std::size_t i = 0; i < kServers; ++i) {
    servers.push_back(harness.node());
    client.transport->connect(i, servers[i].transport->bind(harness.endpoint()));
  }
  for (Node& server : servers) all.push_back(&server);
  for (std::size_t i = 0; i < kServers; ++i) {
    REQUIRE(harness.wait_sent(client, i, message(i, 2000)));
    REQUIRE(harness.wait(all, [&] { return servers[i].inbox.size() == 1; }));
    CHECK(is_message(servers[i].inbox[0].frames, i, 2000));
    REQUIRE(harness.wait_sent(servers[i], servers[i].inbox[0].from, message(100 + i, 3000)));
    REQUIRE(harness.wait(all, [&] { return client.inbox.size() == i + 1; }));
    CHECK(client.inbox[i].from == i);
    CHECK(is_message(client.inbox[i].frames, 100 + i, 3000));
  }
}

TEMPLATE_TEST_CASE("transport: a peer that does not read makes kFull, and gets everything later",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  constexpr std::size_t kBytes = std::size_t{64} << 10;
  TestType harness;
  Pair pair(harness, {.queued_messages = 8});
  const bool to_server = GENERATE(true, false);
  CAPTURE(to_server);
  Node& sender = to_server ? pair.client : pair.server;
  Node& receiver = to_server ? pair.server : pair.client;
  const Link link = to_server ? kLink : pair.accepted;

  const std::uint64_t sent = fill(sender, link, kBytes);
  CHECK(sent >= 4);  // libzmq frees its room in halves, so a message before may still count
  CHECK(receiver.inbox.empty());
  std::uint64_t next = sent;
  // The sender holds one more message and retries it when its descriptor wakes it.
  REQUIRE(harness.wait({&sender, &receiver}, [&] {
    if (next == sent && sender.transport->send(link, message(next, kBytes)) == SendResult::kSent) {
      ++next;
    }
    return receiver.inbox.size() == sent + 1;
  }));
  for (std::uint64_t n = 0; n <= sent; ++n) {
    REQUIRE(is_message(receiver.inbox[n].frames, n, kBytes));
  }
}

TEMPLATE_TEST_CASE("transport: buffers are released after delivery", "[unit]", PS_EVERY_TRANSPORT) {
  TestType harness;
  Pair pair(harness);
  const bool shared = GENERATE(false, true);
  const ps::Memory payload = shared ? allocate_shared(kMiB) : ps::Memory::allocate(kMiB);
  REQUIRE(payload.size() == kMiB);
  REQUIRE(harness.wait_sent(pair.client, kLink, {{}, payload.buffer()}));
  REQUIRE(
      harness.wait({&pair.server, &pair.client}, [&] { return pair.server.inbox.size() == 1; }));
  CHECK(pair.server.inbox[0].frames.payload.size() == kMiB);
  const Link answered = pair.server.inbox[0].from;
  pair.server.inbox.clear();
  // The contract asks no more than that they come back once the peer has answered.
  REQUIRE(harness.wait_sent(pair.server, answered, message(1, 1)));
  REQUIRE(harness.wait({&pair.client}, [&] { return !pair.client.inbox.empty(); }));
  CHECK(eventually([&] { return payload.use_count() == 1; }));
}

TEMPLATE_TEST_CASE("transport: the descriptor wakes up for a message",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  TestType harness;
  Pair pair(harness);
  REQUIRE_FALSE(pair.server.drain());
  REQUIRE(pair.client.transport->send(kLink, message(1, 10)) == SendResult::kSent);
  while (harness.pump()) {
  }
  const int timeout_ms = static_cast<int>(std::chrono::milliseconds(kDeadline).count());
  const auto came = [&] {
    ::pollfd entry{.fd = pair.server.transport->fd(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&entry, 1, timeout_ms) == 1);
    return pair.server.drain();
  };
  while (!came()) {  // it may be woken early
  }
  CHECK(is_message(pair.server.inbox[0].frames, 1, 10));
}

TEMPLATE_TEST_CASE("transport: a peer that sends too much is cut off, others are not",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  TestType harness;
  Node server = harness.node({.max_header_bytes = 1024, .max_payload_bytes = 4096});
  const std::string endpoint = server.transport->bind(harness.endpoint());
  Node good = harness.node();
  Node bad = harness.node({.max_header_bytes = 2 * kMiB});
  good.transport->connect(1, endpoint);
  bad.transport->connect(2, endpoint);
  REQUIRE(harness.wait_sent(good, 1, message(1, 100)));
  REQUIRE(harness.wait_sent(bad, 2, message(2, 100)));
  REQUIRE(harness.wait({&server, &good, &bad}, [&] { return server.inbox.size() == 2; }));
  server.inbox.clear();

  const bool in_header = GENERATE(false, true);
  const Frames large = message(3, kMiB);
  bad.transport->send(2, in_header ? Frames{large.payload, {}} : large);
  for (std::uint64_t n = 10; n < 20; ++n) {
    REQUIRE(harness.wait_sent(good, 1, message(n, 4096)));
    REQUIRE(harness.wait({&server, &good, &bad}, [&] { return server.inbox.size() == n - 9; }));
    CHECK(is_message(server.inbox[n - 10].frames, n, 4096));
  }
}

TEMPLATE_TEST_CASE("transport: its own messages beyond the limit are refused at once",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  TestType harness;
  Pair pair(harness, {.max_header_bytes = 64, .max_payload_bytes = 1000});
  CHECK(code_of([&] { pair.client.transport->send(kLink, message(1, 1001)); }) ==
        ps::ErrorCode::kInvalidArgument);
  CHECK(code_of([&] {
          pair.client.transport->send(kLink, {message(1, 65).payload, {}});
        }) == ps::ErrorCode::kInvalidArgument);
  REQUIRE(harness.wait_sent(pair.client, kLink, message(2, 1000)));
  REQUIRE(
      harness.wait({&pair.server, &pair.client}, [&] { return pair.server.inbox.size() == 1; }));
}

// NOLINTEND(readability-function-cognitive-complexity)
