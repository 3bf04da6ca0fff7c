// The contract of Transport over every implementation: links and endpoints.
#include <ps/error.h>

#include "net/transport_contract.h"
#include "support/catch.h"

// NOLINTBEGIN(readability-function-cognitive-complexity): Catch's macros count as branches

using namespace ps::net;        // NOLINT(google-build-using-namespace): tests
using namespace ps::net::test;  // NOLINT(google-build-using-namespace): tests

TEMPLATE_TEST_CASE("transport: a link to nowhere is unreachable", "[unit]", PS_EVERY_TRANSPORT) {
  TestType harness;
  Node node = harness.node();
  CHECK(node.transport->send(77, message(1, 1)) == SendResult::kUnreachable);
  CHECK(node.transport->send(kAcceptedBit | 5, message(1, 1)) == SendResult::kUnreachable);
  node.transport->bind(harness.endpoint());
  CHECK(node.transport->send(kAcceptedBit | 5, message(1, 1)) == SendResult::kUnreachable);
  node.transport->disconnect(77);  // not an error
  CHECK_FALSE(node.drain());
}

TEMPLATE_TEST_CASE("transport: connecting comes before binding", "[unit]", PS_EVERY_TRANSPORT) {
  TestType harness;
  const std::string endpoint = harness.endpoint();
  Node client = harness.node();
  client.transport->connect(kLink, endpoint);
  CHECK(client.transport->send(kLink, message(1, 1)) == SendResult::kFull);
  CHECK_FALSE(client.drain());
  Node server = harness.node();
  server.transport->bind(endpoint);
  bool sent = false;
  REQUIRE(harness.wait({&server, &client}, [&] {
    sent = sent || client.transport->send(kLink, message(2, 10)) == SendResult::kSent;
    return server.inbox.size() == 1;
  }));
  CHECK(is_message(server.inbox[0].frames, 2, 10));
}

TEMPLATE_TEST_CASE("transport: a link that is connected again is a new one to the peer",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  TestType harness;
  Pair pair(harness);
  pair.client.transport->connect(kLink, pair.endpoint);
  REQUIRE(harness.wait_sent(pair.client, kLink, message(5, 50)));
  REQUIRE(
      harness.wait({&pair.server, &pair.client}, [&] { return pair.server.inbox.size() == 1; }));
  const Link renewed = pair.server.inbox[0].from;
  CHECK(renewed != pair.accepted);
  REQUIRE(harness.wait_sent(pair.server, renewed, message(6, 60)));
  REQUIRE(
      harness.wait({&pair.server, &pair.client}, [&] { return pair.client.inbox.size() == 1; }));
  CHECK(pair.client.inbox[0].from == kLink);
  CHECK(is_message(pair.client.inbox[0].frames, 6, 60));
}

TEMPLATE_TEST_CASE("transport: an own link finds its server's next life",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  TestType harness;
  Pair pair(harness);
  pair.server.transport.reset();
  Node next = harness.node();
  // A port may stay taken until libzmq's thread has closed it.
  REQUIRE(eventually([&] {
    try {
      next.transport->bind(pair.endpoint);
      return true;
    } catch (const ps::Error& error) {
      REQUIRE(error.code() == ps::ErrorCode::kUnavailable);
      next = harness.node();
      return false;
    }
  }));
  // What is sent before the loss is noticed may be lost, so it is sent again whenever something
  // happens; the new server greets nobody, so its first message proves the new connection.
  REQUIRE(harness.wait({&next, &pair.client}, [&] {
    if (next.inbox.empty()) pair.client.transport->send(kLink, message(8, 80));
    return !next.inbox.empty();
  }));
  CHECK(is_message(next.inbox[0].frames, 8, 80));
}

TEMPLATE_TEST_CASE("transport: a peer that leaves becomes unreachable, others stay",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  TestType harness;
  Pair pair(harness);
  Node other = harness.node();
  other.transport->connect(1, pair.endpoint);
  REQUIRE(harness.wait_sent(other, 1, message(1, 1)));
  REQUIRE(harness.wait({&pair.server, &other}, [&] { return pair.server.inbox.size() == 1; }));
  const Link stays = pair.server.inbox[0].from;

  pair.client.transport.reset();
  // The loss of a link is no event: the next send after it was noticed tells.
  REQUIRE(eventually([&] {
    pair.server.drain();
    harness.pump();
    return pair.server.transport->send(pair.accepted, message(2, 1000)) == SendResult::kUnreachable;
  }));
  REQUIRE(harness.wait_sent(pair.server, stays, message(3, 3)));
  REQUIRE(harness.wait({&pair.server, &other}, [&] { return other.inbox.size() == 1; }));
  CHECK(is_message(other.inbox[0].frames, 3, 3));
}

TEMPLATE_TEST_CASE("transport: nothing more comes from a link that was disconnected",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  TestType harness;
  Pair pair(harness);
  SECTION("by the side that opened it") {
    REQUIRE(harness.wait_sent(pair.server, pair.accepted, message(1, 10)));
    pair.client.transport->disconnect(kLink);
    CHECK(pair.client.transport->send(kLink, message(1, 1)) == SendResult::kUnreachable);
    CHECK_FALSE(pair.client.drain());
  }
  SECTION("by the side that accepted it") {
    pair.server.transport->disconnect(pair.accepted);
    CHECK(pair.server.transport->send(pair.accepted, message(1, 1)) == SendResult::kUnreachable);
    pair.client.transport->send(kLink, message(2, 10));
    Node other = harness.node();
    other.transport->connect(1, pair.endpoint);
    REQUIRE(harness.wait_sent(other, 1, message(3, 10)));
    REQUIRE(harness.wait({&pair.server, &other}, [&] { return !pair.server.inbox.empty(); }));
    CHECK(pair.server.from(pair.accepted).empty());
  }
}

TEMPLATE_TEST_CASE("transport: destruction with much queued is quick and releases every buffer",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  constexpr std::size_t kBytes = std::size_t{256} << 10;
  const ps::Memory payload = ps::Memory::allocate(kBytes);
  const auto start = std::chrono::steady_clock::now();
  {
    TestType harness;
    Pair pair(harness, {.queued_messages = 16});
    while (pair.client.transport->send(kLink, {{}, payload.buffer()}) == SendResult::kSent) {
      pair.client.drain();
    }
    while (pair.server.transport->send(pair.accepted, {{}, payload.buffer()}) ==
           SendResult::kSent) {
    }
    pair.client.transport->connect(kLink + 1, harness.endpoint());  // nobody will ever listen there
    pair.client.transport->send(kLink + 1, {{}, payload.buffer()});
    CHECK(payload.use_count() > 1);
    pair.client.transport.reset();
    pair.server.transport.reset();
  }
  CHECK(std::chrono::steady_clock::now() - start < kDeadline);
  CHECK(eventually([&] { return payload.use_count() == 1; }));
}

TEMPLATE_TEST_CASE("transport: an endpoint in use is an error that names it",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  TestType harness;
  Pair pair(harness);
  Node second = harness.node();
  std::string text;
  CHECK(code_of([&] { second.transport->bind(pair.endpoint); }, &text) ==
        ps::ErrorCode::kUnavailable);
  CHECK_THAT(text, Catch::Matchers::Contains(pair.endpoint));
  // The first owner is not disturbed, neither its links nor new ones.
  Node late = harness.node();
  late.transport->connect(1, pair.endpoint);
  REQUIRE(harness.wait_sent(late, 1, message(1, 1)));
  REQUIRE(harness.wait_sent(pair.client, kLink, message(2, 2)));
  REQUIRE(harness.wait({&pair.server, &pair.client, &late},
                       [&] { return pair.server.inbox.size() == 2; }));
}

TEMPLATE_TEST_CASE("transport: malformed endpoints and links are the caller's mistake",
                   "[unit]",
                   PS_EVERY_TRANSPORT) {
  TestType harness;
  Node node = harness.node();
  const std::string good = harness.endpoint();
  for (const std::string& bad : {std::string(), std::string("nonsense"), std::string("udp://x:1"),
                                 good.substr(0, good.find("://") + 3)}) {
    CAPTURE(bad);
    CHECK(code_of([&] { node.transport->connect(1, bad); }) == ps::ErrorCode::kInvalidArgument);
    CHECK(code_of([&] { node.transport->bind(bad); }) == ps::ErrorCode::kInvalidArgument);
  }
  CHECK(code_of([&] { node.transport->connect(kAcceptedBit, good); }) ==
        ps::ErrorCode::kInvalidArgument);
}

// NOLINTEND(readability-function-cognitive-complexity)
