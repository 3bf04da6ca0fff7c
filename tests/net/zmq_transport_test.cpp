// What is special about the ZeroMQ transport: hostile clients, its bind policy, its files.
#include "net/zmq_transport.h"

#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <zmq.hpp>

#include <ps/error.h>

#include "net/descriptor.h"
#include "net/transport_contract.h"
#include "support/catch.h"

// NOLINTBEGIN(readability-function-cognitive-complexity): Catch's macros count as branches

using namespace ps::net;        // NOLINT(google-build-using-namespace): tests
using namespace ps::net::test;  // NOLINT(google-build-using-namespace): tests

namespace {

// A server with a well-behaved client, and means to attack it.
struct Attacked : FactoryHarness {
  Attacked() : FactoryHarness(TransportKind::kTcp), server(node()), client(node()) {
    endpoint = server.transport->bind("tcp://127.0.0.1:*");
    client.transport->connect(kLink, endpoint);
    require_service();
  }

  // The client's next message still arrives, and nothing else.
  void require_service() {
    REQUIRE(wait_sent(client, kLink, message(++number, 100)));
    REQUIRE(wait({&server, &client}, [&] { return !server.inbox.empty(); }));
    REQUIRE(server.inbox.size() == 1);
    REQUIRE(is_message(server.inbox[0].frames, number, 100));
    server.inbox.clear();
  }

  [[nodiscard]] std::uint64_t refused() const {
    return dynamic_cast<const ZmqTransport&>(*server.transport).refused_messages();
  }

  [[nodiscard]] bool wait_refused(std::uint64_t count) {
    return eventually([&] {
      server.drain();
      return refused() == count;
    });
  }

  // A plain TCP connection to the server's port.
  [[nodiscard]] Descriptor tcp() const {
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(socket.get(), reinterpret_cast<::sockaddr*>(&address), sizeof address) == 0);
    return socket;
  }

  Node server;
  Node client;
  std::string endpoint;
  std::uint64_t number = 0;
};

// A ZeroMQ client that keeps to ZMTP but not to our two frames.
struct Stranger {
  explicit Stranger(const std::string& endpoint, const std::string& id = {}) {
    socket.set(zmq::sockopt::linger, 0);
    if (!id.empty()) socket.set(zmq::sockopt::routing_id, id);
    socket.connect(endpoint);
  }
  void send(std::size_t frames, bool finish = true) {
    for (std::size_t i = 0; i < frames; ++i) {
      const bool more = i + 1 < frames || !finish;
      zmq::message_t part(std::string("hostile"));
      socket.send(part, more ? zmq::send_flags::sndmore : zmq::send_flags::none);
    }
  }
  zmq::context_t context;
  zmq::socket_t socket{context, zmq::socket_type::dealer};
};

ps::ErrorCode bind_error(const std::string& endpoint, std::string& text) {
  const auto context = std::make_shared<ZmqContext>();
  ZmqTransport transport(context, {});
  return code_of([&] { transport.bind(endpoint); }, &text);
}

}  // namespace

TEST_CASE("zmq: bytes that are not ZMTP disturb nobody", "[unit]") {
  Attacked attacked;
  std::vector<Descriptor> sockets;
  std::string long_garbage(100'000, '\xff');
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), std::string("\x16\x03\x01\x02\x00", 5),
        std::string(), std::string("\xff\0\0\0\0\0\0\0\1\x7f", 10), long_garbage}) {
    sockets.push_back(attacked.tcp());
    ::send(sockets.back().get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    attacked.require_service();
  }
  CHECK(attacked.refused() == 0);
}

TEST_CASE("zmq: messages that are not two frames are dropped and counted", "[unit]") {
  Attacked attacked;
  const std::size_t frames = GENERATE(1U, 3U, 1000U);
  CAPTURE(frames);
  Stranger stranger(attacked.endpoint);
  stranger.send(frames);
  REQUIRE(attacked.wait_refused(1));
  CHECK(attacked.server.inbox.empty());
  attacked.require_service();
  stranger.send(2);  // two frames are two frames, whoever sends them
  REQUIRE(attacked.wait({&attacked.server}, [&] { return attacked.server.inbox.size() == 1; }));
}

TEST_CASE("zmq: a flood of refused messages does not keep the owner from its other work",
          "[unit]") {
  Attacked attacked;
  Stranger stranger(attacked.endpoint);
  for (int i = 0; i < 2000; ++i) stranger.send(1);
  REQUIRE(attacked.wait_refused(2000));
  attacked.require_service();
}

TEST_CASE("zmq: a message that never ends holds up nobody else", "[unit]") {
  Attacked attacked;
  Stranger stranger(attacked.endpoint);
  stranger.send(500, false);
  for (int i = 0; i < 5; ++i) attacked.require_service();
  CHECK(attacked.refused() == 0);
}

TEST_CASE("zmq: a peer that chooses its own routing id is refused", "[unit]") {
  Attacked attacked;
  Stranger stranger(attacked.endpoint, "chosen");
  stranger.send(2);
  REQUIRE(attacked.wait_refused(1));
  attacked.require_service();
}

TEST_CASE("zmq: only what may cross a network card needs a checksum", "[unit]") {
  const auto context = std::make_shared<ZmqContext>();
  ZmqTransport tcp(context, {.scheme = ZmqOptions::Scheme::kTcp, .linger_ms = 0});
  tcp.connect(1, tcp.bind("tcp://127.0.0.1:*"));
  tcp.connect(2, "tcp://192.0.2.1:5555");
  CHECK_FALSE(tcp.needs_checksum(1));
  CHECK(tcp.needs_checksum(2));
  CHECK_FALSE(tcp.needs_checksum(kAcceptedBit));
  ZmqTransport open(context, {.scheme = ZmqOptions::Scheme::kTcp, .allow_insecure_network = true});
  open.bind("tcp://0.0.0.0:*");
  CHECK(open.needs_checksum(kAcceptedBit));
  ZmqTransport ipc(context, {.scheme = ZmqOptions::Scheme::kIpc});
  const TemporaryDirectory directory;
  ipc.bind("ipc://" + directory.path() + "/node.sock");
  CHECK_FALSE(ipc.needs_checksum(kAcceptedBit));
}

TEST_CASE("zmq: addresses that other machines reach need allow_insecure_network", "[unit]") {
  std::string text;
  for (const std::string host : {"0.0.0.0", "*", "[::]", "10.1.2.3", "eth0", "example.org"}) {
    CAPTURE(host);
    CHECK(bind_error("tcp://" + host + ":*", text) == ps::ErrorCode::kUnavailable);
    CHECK_THAT(text, Catch::Matchers::Contains("allow_insecure_network"));
    CHECK_THAT(text, Catch::Matchers::Contains(host));
  }
  const auto context = std::make_shared<ZmqContext>();
  ZmqTransport allowed(context, {.allow_insecure_network = true});
  CHECK_THAT(allowed.bind("tcp://0.0.0.0:*"), Catch::Matchers::StartsWith("tcp://0.0.0.0:"));
}

TEST_CASE("zmq: a taken port is an error that says what to do", "[unit]") {
  Attacked attacked;
  std::string text;
  CHECK(bind_error(attacked.endpoint, text) == ps::ErrorCode::kUnavailable);
  CHECK_THAT(text, Catch::Matchers::Contains(attacked.endpoint) &&
                       Catch::Matchers::Contains("another port"));
}

TEST_CASE("zmq: an address of this scheme that makes no sense is the caller's mistake", "[unit]") {
  std::string text;
  for (const std::string bad : {"tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:70000",
                                "tcp://:5", "tcp://[::1:5", "ipc:///tmp/x"}) {
    CAPTURE(bad);
    CHECK(bind_error(bad, text) == ps::ErrorCode::kInvalidArgument);
  }
}

TEST_CASE("zmq: an ipc path is private, replaces a dead one's and goes with its owner", "[unit]") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/node";
  {  // what a killed process leaves
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const Descriptor dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    REQUIRE(::bind(dead.get(), reinterpret_cast<::sockaddr*>(&address), sizeof address) == 0);
  }
  const auto context = std::make_shared<ZmqContext>();
  {
    ZmqTransport transport(context, {.scheme = ZmqOptions::Scheme::kIpc});
    transport.bind("ipc://" + path);
    struct ::stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

// NOLINTEND(readability-function-cognitive-complexity)
