#include "net/transport_contract.h"

#include <arpa/inet.h>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "base/assert.h"
#include "net/descriptor.h"
#include "support/catch.h"

namespace ps::net::test {
namespace {

using SteadyClock = std::chrono::steady_clock;

std::byte pattern(std::uint64_t number, std::size_t at) {
  return static_cast<std::byte>((number * 131 + at * 7 + (at >> 8)) & 0xff);
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "ps-test-XXXXXX").string();
  PS_ASSERT(::mkdtemp(name.data()) != nullptr, "tests need a directory for temporary files");
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

bool Node::drain() {
  const std::size_t before = inbox.size();
  Link from = 0;
  Frames frames;
  while (transport->receive(from, frames)) {
    inbox.push_back({from, frames});
    frames = {};  // or the last message would be kept alive here
  }
  return inbox.size() > before;
}

std::vector<Arrived> Node::from(Link link) const {
  std::vector<Arrived> found;
  for (const Arrived& arrived : inbox) {
    if (arrived.from == link) found.push_back(arrived);
  }
  return found;
}

bool Harness::wait(const std::vector<Node*>& nodes, const std::function<bool()>& condition) {
  const auto deadline = SteadyClock::now() + kDeadline;
  for (;;) {
    for (Node* const node : nodes) node->drain();
    if (condition()) return true;
    bool came = false;
    for (Node* const node : nodes) came = node->drain() || came;  // the condition may have sent
    if (came || pump()) continue;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now());
    std::vector<::pollfd> entries;
    entries.reserve(nodes.size());
    for (const Node* const node : nodes) {
      entries.push_back({.fd = node->transport->fd(), .events = POLLIN, .revents = 0});
    }
    const int ready = ::poll(entries.data(), entries.size(), static_cast<int>(left.count()));
    if (left.count() <= 0 || ready == 0) return false;
  }
}

bool Harness::wait_sent(Node& node, Link link, const Frames& frames) {
  return wait({&node}, [&] { return node.transport->send(link, frames) == SendResult::kSent; });
}

Frames message(std::uint64_t number, std::size_t bytes) {
  const Memory header = Memory::allocate(sizeof number);
  std::memcpy(header.bytes().data(), &number, sizeof number);
  const Memory payload = Memory::allocate(bytes);
  for (std::size_t i = 0; i < bytes; ++i) payload.bytes()[i] = pattern(number, i);
  return {header.buffer(), payload.buffer()};
}

bool is_message(const Frames& frames, std::uint64_t number, std::size_t bytes) {
  if (frames.header.size() != sizeof number || frames.payload.size() != bytes) return false;
  if (std::memcmp(frames.header.data(), &number, sizeof number) != 0) return false;
  for (std::size_t i = 0; i < bytes; ++i) {
    if (frames.payload.data()[i] != pattern(number, i)) return false;
  }
  return true;
}

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = SteadyClock::now() + kDeadline;
  while (!condition()) {
    if (SteadyClock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

int free_tcp_port() {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<::sockaddr*>(&address);
  PS_ASSERT(::bind(socket.get(), generic, size) == 0, "loopback has a free port");
  PS_ASSERT(::getsockname(socket.get(), generic, &size) == 0, "a bound socket has a name");
  return ntohs(address.sin_port);
}

std::unique_ptr<Transport> FactoryHarness::make(const TransportLimits& limits) {
  // A ring smaller than the larger messages, so that they are streamed.
  return make_transport({.kind = kind_, .limits = limits, .ring_bytes = std::size_t{1} << 20},
                        shared_);
}

std::string FactoryHarness::endpoint() {
  const std::string name = "name-" + std::to_string(++names_);
  if (kind_ == TransportKind::kInproc) return "inproc://" + name;
  if (kind_ == TransportKind::kTcp) return "tcp://127.0.0.1:" + std::to_string(free_tcp_port());
  return bind_endpoint(kind_, directory_.path(), name);
}

Pair::Pair(Harness& harness, const TransportLimits& limits)
    : server(harness.node(limits)), client(harness.node(limits)), endpoint(harness.endpoint()) {
  REQUIRE(server.transport->bind(endpoint) == endpoint);
  client.transport->connect(kLink, endpoint);
  REQUIRE(harness.wait_sent(client, kLink, message(0, 0)));
  REQUIRE(harness.wait({&server, &client}, [&] { return server.inbox.size() == 1; }));
  accepted = server.inbox[0].from;
  REQUIRE((accepted & kAcceptedBit) != 0);
  server.inbox.clear();
}

ErrorCode code_of(const std::function<void()>& call, std::string* text) {
  try {
    call();
  } catch (const Error& error) {
    if (text != nullptr) *text = error.what();
    return error.code();
  }
  FAIL("expected an error");
  return ErrorCode::kInternal;
}

bool Sim::pump() {
  const TimePoint next = network_.next_event();
  if (next == kNever) return false;
  network_.deliver_until(next);
  return true;
}

}  // namespace ps::net::test
