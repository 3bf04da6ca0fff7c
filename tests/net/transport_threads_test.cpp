// Two nodes on two threads, as in production: nothing is lost or reordered, and no wake-up is
// missed while both push more than their queues hold.
#include <atomic>
#include <thread>

#include "net/transport_contract.h"
#include "support/catch.h"

using namespace ps::net;        // NOLINT(google-build-using-namespace): tests
using namespace ps::net::test;  // NOLINT(google-build-using-namespace): tests

namespace {

constexpr std::uint64_t kMessages = 1000;

std::size_t size_of(std::uint64_t number) {
  return number % 97 == 0 ? 300'000 : number % 50 * 100;
}

// Sends kMessages and receives as many, sleeping on the descriptor whenever there is nothing to do.
bool exchange(Harness& harness, Node& node, Link link) {
  std::uint64_t sent = 0;
  return harness.wait({&node}, [&] {
    while (sent < kMessages &&
           node.transport->send(link, message(sent, size_of(sent))) == SendResult::kSent) {
      ++sent;
    }
    return sent == kMessages && node.inbox.size() == kMessages;
  });
}

}  // namespace

TEMPLATE_TEST_CASE("transport: two threads push into each other without a loss",
                   "[unit]",
                   Inproc,
                   ZmqTcp,
                   ZmqIpc,
                   Shm) {
  TestType harness;
  const TransportLimits limits{.queued_messages = 8};
  const std::string endpoint = harness.endpoint();
  bool client_done = false;
  Node client = harness.node(limits);
  Node server = harness.node(limits);
  std::atomic<bool> server_done = false;
  std::jthread server_thread([&] {
    server.transport->bind(endpoint);
    // The first message tells the client's link.
    if (!harness.wait({&server}, [&] { return !server.inbox.empty(); })) return;
    const Link link = server.inbox[0].from;
    server_done = exchange(harness, server, link);
  });
  client.transport->connect(kLink, endpoint);
  client_done = exchange(harness, client, kLink);
  server_thread.join();
  REQUIRE(client_done);
  REQUIRE(server_done);
  bool intact = true;
  for (std::uint64_t n = 0; n < kMessages; ++n) {
    intact = intact && is_message(server.inbox[n].frames, n, size_of(n)) &&
             is_message(client.inbox[n].frames, n, size_of(n));
  }
  CHECK(intact);
}
