// The small parts: endpoint texts, the reminder for refused senders, the factory's endpoints.
#include <ps/error.h>

#include "net/endpoint.h"
#include "net/full_links.h"
#include "net/transport_factory.h"
#include "support/catch.h"

// NOLINTBEGIN(readability-function-cognitive-complexity): Catch's macros count as branches

using namespace ps::net;  // NOLINT(google-build-using-namespace): tests

TEST_CASE("endpoint: the address follows the scheme", "[unit]") {
  CHECK(address_of("tcp://127.0.0.1:*", "tcp") == "127.0.0.1:*");
  CHECK(address_of("shm:///a/b.sock", "shm") == "/a/b.sock");
  for (const char* bad : {"", "tcp", "tcp://", "ipc://x", "TCP://x"}) {
    CHECK_THROWS_AS(address_of(bad, "tcp"), ps::Error);
  }
}

TEST_CASE("endpoint: a tcp address has a host and a port", "[unit]") {
  CHECK(tcp_host_of("127.0.0.1:*") == "127.0.0.1");
  CHECK(tcp_host_of("host:65535") == "host");
  CHECK(tcp_host_of("[::1]:5") == "::1");
  for (const char* bad :
       {"host", ":5", "host:", "host:x", "host:65536", "host:-1", "[]:5", "[::1:5", "host:5x"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(tcp_host_of(bad), ps::Error);
  }
}

TEST_CASE("endpoint: loopback is an address, not a name", "[unit]") {
  for (const char* host : {"127.0.0.1", "127.9.8.7", "::1"}) CHECK(is_loopback(host));
  for (const char* host : {"0.0.0.0", "*", "::", "10.0.0.1", "localhost", "127.evil.example", ""}) {
    CAPTURE(host);
    CHECK_FALSE(is_loopback(host));
  }
}

TEST_CASE("full links: a refused sender is reminded until it comes back, but not for ever",
          "[unit]") {
  FullLinks full;
  bool room = false;
  const auto has_room = [&](Link) { return room; };
  CHECK_FALSE(full.remind(has_room));
  full.add(1);
  for (int i = 0; i < 100; ++i) CHECK_FALSE(full.remind(has_room));
  room = true;
  CHECK(full.remind(has_room));
  CHECK(full.remind(has_room));
  full.remove(1);
  CHECK_FALSE(full.remind(has_room));
  full.add(2);
  int reminders = 0;
  while (full.remind(has_room)) ++reminders;
  CHECK(reminders == 8);
  CHECK(full.empty());
}

TEST_CASE("transport factory: an endpoint to bind for each kind", "[unit]") {
  CHECK(bind_endpoint(TransportKind::kInproc, "", "n") == "inproc://*");
  CHECK(bind_endpoint(TransportKind::kTcp, "127.0.0.1", "n") == "tcp://127.0.0.1:*");
  CHECK(bind_endpoint(TransportKind::kTcp, "::1", "n") == "tcp://[::1]:*");
  CHECK(bind_endpoint(TransportKind::kIpc, "/d", "n") == "ipc:///d/n");
  CHECK(bind_endpoint(TransportKind::kShm, "/d", "n") == "shm:///d/n.sock");
}

// NOLINTEND(readability-function-cognitive-complexity)
