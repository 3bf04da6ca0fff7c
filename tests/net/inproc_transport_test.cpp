// What is special about the in-process transport: it shares the bytes themselves.
#include "net/inproc_transport.h"

#include "net/transport_contract.h"
#include "support/catch.h"

// NOLINTBEGIN(readability-function-cognitive-complexity): Catch's macros count as branches

using namespace ps::net;        // NOLINT(google-build-using-namespace): tests
using namespace ps::net::test;  // NOLINT(google-build-using-namespace): tests

TEST_CASE("inproc: the receiver gets the very bytes that were sent", "[unit]") {
  Inproc harness;
  Pair pair(harness);
  const Frames sent = message(1, 5 * kMiB);
  REQUIRE(harness.wait_sent(pair.client, kLink, sent));
  REQUIRE(pair.server.drain());
  CHECK(pair.server.inbox[0].frames.header.data() == sent.header.data());
  CHECK(pair.server.inbox[0].frames.payload.data() == sent.payload.data());
}

TEST_CASE("inproc: a node may have a link to itself", "[unit]") {
  Inproc harness;
  Node node = harness.node();
  node.transport->connect(kLink, node.transport->bind("inproc://*"));
  REQUIRE(harness.wait_sent(node, kLink, message(1, 10)));
  REQUIRE(harness.wait({&node}, [&] { return node.inbox.size() == 1; }));
  const Link accepted = node.inbox[0].from;
  CHECK(accepted >= kAcceptedBit);
  REQUIRE(harness.wait_sent(node, accepted, message(2, 20)));
  REQUIRE(harness.wait({&node}, [&] { return node.inbox.size() == 2; }));
  CHECK(node.inbox[1].from == kLink);
}

TEST_CASE("inproc: what a peer sent before it left still arrives", "[unit]") {
  Inproc harness;
  Pair pair(harness);
  REQUIRE(harness.wait_sent(pair.client, kLink, message(1, 10)));
  pair.client.transport.reset();
  REQUIRE(pair.server.drain());
  CHECK(is_message(pair.server.inbox[0].frames, 1, 10));
  CHECK(pair.server.transport->send(pair.accepted, {}) == SendResult::kUnreachable);
}

TEST_CASE("inproc: names that it makes up do not collide with chosen ones", "[unit]") {
  Inproc harness;
  Node first = harness.node();
  Node second = harness.node();
  Node third = harness.node();
  CHECK(first.transport->bind("inproc://any-1") == "inproc://any-1");
  const std::string made = second.transport->bind("inproc://*");
  CHECK(made != "inproc://any-1");
  CHECK(third.transport->bind("inproc://*") != made);
}

// NOLINTEND(readability-function-cognitive-complexity)
