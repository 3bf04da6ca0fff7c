// What is special about the shared-memory transport: peers that break its rules, and its files.
#include "net/shm_transport.h"

#include <cstring>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "net/transport_contract.h"
#include "support/catch.h"

// NOLINTBEGIN(readability-function-cognitive-complexity): Catch's macros count as branches

using namespace ps::net;        // NOLINT(google-build-using-namespace): tests
using namespace ps::net::test;  // NOLINT(google-build-using-namespace): tests

namespace {

constexpr std::size_t kRingBytes = 4096;
constexpr std::size_t kControlBytes = 4096;  // as the transport lays the memory out
constexpr std::size_t kLentBytes = 65536;
constexpr std::size_t kMappingBytes = 2 * (kControlBytes + kRingBytes);

struct Prefix {  // as it stands in the ring
  std::uint32_t magic = 0x474d5350;
  std::uint32_t header_bytes = 0;
  std::uint64_t payload_bytes = 0;
  Loan loan = {};
};

// A server with a well-behaved client, and means to attack it.
struct Attacked : FactoryHarness {
  Attacked() : FactoryHarness(TransportKind::kShm), server(node()), client(node()) {
    path = endpoint().substr(6);
    server.transport->bind("shm://" + path);
    client.transport->connect(kLink, "shm://" + path);
    require_service();
  }

  void require_service() {
    REQUIRE(wait_sent(client, kLink, message(++number, 100)));
    REQUIRE(wait({&server, &client}, [&] { return !server.from(good).empty() || first_came(); }));
    const auto came = server.from(good);
    REQUIRE(came.size() == 1);
    REQUIRE(is_message(came[0].frames, number, 100));
    server.inbox.clear();
  }

  bool first_came() {
    if (good != 0 || server.inbox.empty()) return false;
    good = server.inbox[0].from;
    return true;
  }

  [[nodiscard]] std::uint64_t cut() const {
    return dynamic_cast<const ShmTransport&>(*server.transport).links_cut();
  }

  [[nodiscard]] bool wait_cut(std::uint64_t count) {
    return eventually([&] {
      server.drain();
      return cut() == count;
    });
  }

  Node server;
  Node client;
  std::string path;
  Link good = 0;  // the client, as the server sees it
  std::uint64_t number = 0;
};

// A peer that introduces itself well, and then has the shared memory in its hands.
struct Intruder {
  explicit Intruder(const std::string& path)
      : socket(connect_unix(path).value()),
        mapping(SharedMapping::create(kMappingBytes)),
        doorbell(::eventfd(0, EFD_NONBLOCK)),
        own_doorbell(::eventfd(0, EFD_NONBLOCK)) {
    REQUIRE(mapping);
  }
  void say_hello(const ShmHello& hello = {.ring_bytes = kRingBytes}) const {
    hello_with(hello, {mapping->fd(), doorbell.get(), own_doorbell.get()});
  }
  void hello_with(const ShmHello& hello, const std::array<int, kHelloFds>& fds) const {
    REQUIRE(send_with_fds(socket.get(), std::as_bytes(std::span(&hello, 1)), fds));
  }
  void introduce(const RegionNotice& notice) const { introduce(notice, memory->fd()); }
  void introduce(const RegionNotice& notice, int fd) const {
    const std::array<int, 1> fds{fd};
    REQUIRE(send_with_fds(socket.get(), std::as_bytes(std::span(&notice, 1)), fds));
  }
  // Ring 0 is ours to write, ring 1 ours to read.
  [[nodiscard]] RingControl& control(std::size_t ring) const {
    return *reinterpret_cast<RingControl*>(mapping->bytes().data() +
                                           ring * (kControlBytes + kRingBytes));
  }
  [[nodiscard]] std::span<std::byte> data() const {
    return mapping->bytes().subspan(kControlBytes, kRingBytes);
  }
  template <class T>
  void put(const T& value) const {
    std::memcpy(data().data(), &value, sizeof value);
    publish(sizeof value);
  }
  void publish(std::uint64_t written) const {
    control(0).written = written;
    ring();
  }
  void ring() const {
    const std::uint64_t one = 1;
    REQUIRE(::write(doorbell.get(), &one, sizeof one) == sizeof one);
  }

  Descriptor socket;
  std::shared_ptr<SharedMapping> mapping;
  std::shared_ptr<SharedMapping> memory = SharedMapping::create(kLentBytes);  // to be lent
  Descriptor doorbell;                                                        // the server's
  Descriptor own_doorbell;
};

}  // namespace

TEST_CASE("shm: a greeting that is not right is refused, and disturbs nobody", "[unit]") {
  Attacked attacked;
  Intruder intruder(attacked.path);
  const auto descriptors = [&](int memory, int bell) {
    return std::array<int, kHelloFds>{memory, bell, intruder.own_doorbell.get()};
  };
  const int good_memory = intruder.mapping->fd();
  const int good_bell = intruder.doorbell.get();
  const ShmHello hello{.ring_bytes = kRingBytes};
  SECTION("no descriptors") {
    REQUIRE(::send(intruder.socket.get(), &hello, sizeof hello, MSG_NOSIGNAL) == sizeof hello);
  }
  SECTION("too short") {
    REQUIRE(::send(intruder.socket.get(), &hello, 3, MSG_NOSIGNAL) == 3);
  }
  SECTION("too long") {
    const std::array<char, 100> bytes{};
    REQUIRE(::send(intruder.socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == 100);
  }
  SECTION("wrong magic") {
    intruder.say_hello({.magic = 1, .ring_bytes = kRingBytes});
  }
  SECTION("unknown version") {
    intruder.say_hello({.version = 99, .ring_bytes = kRingBytes});
  }
  SECTION("rings larger than the memory") {
    intruder.say_hello({.ring_bytes = 2 * kRingBytes});
  }
  SECTION("rings beyond all measure") {
    intruder.say_hello({.ring_bytes = std::uint64_t{1} << 63});
  }
  SECTION("no ring") {
    intruder.say_hello({.ring_bytes = 0});
  }
  SECTION("a ring that is no power of two") {
    intruder.say_hello({.ring_bytes = 5000});
  }
  SECTION("memory that may shrink") {
    const Descriptor unsealed(::memfd_create("unsealed", MFD_CLOEXEC));
    REQUIRE(::ftruncate(unsealed.get(), kMappingBytes) == 0);
    intruder.hello_with(hello, descriptors(unsealed.get(), good_bell));
  }
  SECTION("no memory at all") {
    intruder.hello_with(hello, descriptors(good_bell, good_bell));
  }
  SECTION("a file as the doorbell") {
    intruder.hello_with(hello, descriptors(good_memory, good_memory));
  }
  SECTION("a hang-up instead") {
    intruder.socket.reset();
  }
  REQUIRE(attacked.wait_cut(1));
  attacked.require_service();
}

TEST_CASE("shm: ring contents that cannot be cut the link, and disturb nobody", "[unit]") {
  Attacked attacked;
  Intruder intruder(attacked.path);
  intruder.say_hello();
  SECTION("more written than the ring holds") {
    intruder.publish(kRingBytes + 1);
  }
  SECTION("a position at the end of all numbers") {
    intruder.publish(~std::uint64_t{0});
  }
  SECTION("no message") {
    intruder.put(Prefix{.magic = 1});
  }
  SECTION("a header beyond the limit") {
    intruder.put(Prefix{.header_bytes = 0xffffffff});
  }
  SECTION("a payload beyond the limit") {
    intruder.put(Prefix{.payload_bytes = std::uint64_t{1} << 60});
  }
  SECTION("a reader that has read what was never written") {
    intruder.put(Prefix{});
    REQUIRE(attacked.wait({&attacked.server}, [&] { return !attacked.server.inbox.empty(); }));
    const Link link = attacked.server.inbox[0].from;
    attacked.server.inbox.clear();
    intruder.control(1).read = 12345;
    CHECK(attacked.server.transport->send(link, message(1, 1)) == SendResult::kUnreachable);
  }
  REQUIRE(attacked.wait_cut(1));
  attacked.require_service();
}

TEST_CASE("shm: random bytes in the shared memory never crash the server", "[unit]") {
  Attacked attacked;
  const std::uint64_t seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{40}));
  CAPTURE(seed);
  ps::Random random(seed);
  Intruder intruder(attacked.path);
  intruder.say_hello();
  if (random.chance(0.5)) intruder.introduce({.region = 1, .bytes = kLentBytes});
  for (int round = 0; round < 10; ++round) {
    // Sometimes a good prefix, so that what follows it is reached.
    for (std::byte& byte : intruder.data()) byte = static_cast<std::byte>(random.next_u32());
    if (random.chance(0.7)) {
      const Prefix prefix{.header_bytes = random.next_u32() % 100,
                          .payload_bytes = random.below(2 * kRingBytes),
                          .loan = {.region = random.chance(0.5) ? 0 : random.next_u32() % 3,
                                   .number = random.next_u32() % (2 * kMaxLoans),
                                   .offset = random.below(2 * kLentBytes)}};
      std::memcpy(intruder.data().data(), &prefix, sizeof prefix);
    }
    intruder.control(1).read = random.chance(0.9) ? 0 : random.next_u64();
    intruder.publish(random.chance(0.9) ? random.below(2 * kRingBytes) : random.next_u64());
    attacked.server.drain();
    for (const Arrived& arrived : attacked.server.inbox) {
      attacked.server.transport->send(arrived.from, message(1, 5000));
    }
    attacked.server.inbox.clear();
  }
  intruder.socket.reset();
  attacked.require_service();
}

TEST_CASE("shm: a peer that dies in the middle of a message takes only that one along", "[unit]") {
  Attacked attacked;
  {
    Intruder intruder(attacked.path);
    intruder.say_hello();
    std::memcpy(intruder.data().data() + sizeof(Prefix), "abc", 3);
    const Prefix whole{.payload_bytes = 3};
    std::memcpy(intruder.data().data(), &whole, sizeof whole);
    const Prefix half{.payload_bytes = 1000};
    std::memcpy(intruder.data().data() + sizeof(Prefix) + 3, &half, sizeof half);
    intruder.publish(2 * sizeof(Prefix) + 3 + 500);
  }
  REQUIRE(attacked.wait({&attacked.server}, [&] { return !attacked.server.inbox.empty(); }));
  REQUIRE(attacked.server.inbox.size() == 1);
  CHECK(attacked.server.inbox[0].frames.payload.size() == 3);
  const Link dead = attacked.server.inbox[0].from;
  attacked.server.inbox.clear();
  REQUIRE(eventually([&] {
    attacked.server.drain();
    return attacked.server.transport->send(dead, {}) == SendResult::kUnreachable;
  }));
  attacked.require_service();
  CHECK(attacked.cut() == 0);  // dying is no breach
}

TEST_CASE("shm: connections that say nothing cannot pile up", "[unit]") {
  Attacked attacked;
  std::vector<Descriptor> silent;
  for (int i = 0; i < 300; ++i) {
    auto socket = connect_unix(attacked.path);
    if (socket) silent.push_back(std::move(*socket));
    attacked.server.drain();
  }
  attacked.require_service();
  REQUIRE(silent.size() == 300);
  char byte = 0;
  CHECK(::recv(silent.front().get(), &byte, 1, MSG_DONTWAIT) == 0);  // the oldest were hung up on
  CHECK(::recv(silent.back().get(), &byte, 1, MSG_DONTWAIT) == -1);
}

TEST_CASE("shm: loans of what there is not cut the link, and disturb nobody", "[unit]") {
  Attacked attacked;
  Intruder intruder(attacked.path);
  intruder.say_hello();
  Prefix prefix{.payload_bytes = 64, .loan = {.region = 1}};
  const RegionNotice notice{.region = 1, .bytes = kLentBytes};
  SECTION("memory that was never introduced") {}
  SECTION("the second memory of one") {
    intruder.introduce(notice);
    prefix.loan.region = 2;
  }
  SECTION("beyond its end") {
    intruder.introduce(notice);
    prefix.loan.offset = kLentBytes - 48;
  }
  SECTION("from beyond its end") {
    intruder.introduce(notice);
    prefix.loan.offset = ~std::uint64_t{0} - 15;
  }
  SECTION("a number that no loan has") {
    intruder.introduce(notice);
    prefix.loan.number = kMaxLoans;
  }
  SECTION("no place for floats") {
    intruder.introduce(notice);
    prefix.loan.offset = 3;
  }
  intruder.put(prefix);
  REQUIRE(attacked.wait_cut(1));
  attacked.require_service();
}

TEST_CASE("shm: memory that cannot be lent ends the connection, and disturbs nobody", "[unit]") {
  Attacked attacked;
  Intruder intruder(attacked.path);
  intruder.say_hello();
  SECTION("more than there is") {
    intruder.introduce({.region = 1, .bytes = 2 * kLentBytes});
  }
  SECTION("none") {
    intruder.introduce({.region = 1, .bytes = 0});
  }
  SECTION("out of turn") {
    intruder.introduce({.region = 2, .bytes = kLentBytes});
  }
  SECTION("another packet") {
    intruder.introduce({.magic = 1, .region = 1, .bytes = kLentBytes});
  }
  SECTION("memory that may shrink") {
    const Descriptor unsealed(::memfd_create("unsealed", MFD_CLOEXEC));
    REQUIRE(::ftruncate(unsealed.get(), kLentBytes) == 0);
    intruder.introduce({.region = 1, .bytes = kLentBytes}, unsealed.get());
  }
  char byte = 0;
  CHECK(eventually([&] {  // hung up on
    attacked.server.drain();
    return ::recv(intruder.socket.get(), &byte, 1, MSG_DONTWAIT) == 0;
  }));
  attacked.require_service();
}

TEST_CASE("shm: what lies in shared memory is read there, until its reader lets go", "[unit]") {
  Attacked attacked;
  const ps::Memory memory = allocate_shared(std::size_t{1} << 20);
  const auto floats = memory.as<float>();
  floats[4] = 1.0F;
  const Frames frames{{}, memory.buffer(16, kMinLoanBytes)};
  REQUIRE(attacked.wait_sent(attacked.client, kLink, frames));
  REQUIRE(attacked.wait({&attacked.server}, [&] { return !attacked.server.inbox.empty(); }));
  const ps::Buffer payload = attacked.server.inbox[0].frames.payload;
  attacked.server.inbox.clear();
  REQUIRE(payload.size() == kMinLoanBytes);
  const auto* const came = reinterpret_cast<const float*>(payload.data());
  CHECK(came[0] == 1.0F);
  floats[4] = 2.0F;
  CHECK(came[0] == 2.0F);  // no copy
  attacked.require_service();
  CHECK(memory.use_count() == 3);  // with `frames` and the loan
}

TEST_CASE("shm: a loan comes back when its reader lets go, or its link goes", "[unit]") {
  Attacked attacked;
  const ps::Memory memory = allocate_shared(kMinLoanBytes);
  REQUIRE(attacked.wait_sent(attacked.client, kLink, {{}, memory.buffer()}));
  REQUIRE(attacked.wait({&attacked.server}, [&] { return !attacked.server.inbox.empty(); }));
  ps::Buffer payload = attacked.server.inbox[0].frames.payload;
  attacked.server.inbox.clear();
  attacked.require_service();
  CHECK(memory.use_count() == 2);
  SECTION("the reader lets go") {
    payload = {};
    attacked.require_service();
  }
  SECTION("the link goes") {
    attacked.client.transport->disconnect(kLink);
    CHECK(payload.bytes()[0] == std::byte{0});  // still there
  }
  CHECK(memory.use_count() == 1);
}

TEST_CASE("shm: with too many loans out, payloads are copied", "[unit]") {
  Attacked attacked;
  const ps::Memory memory = allocate_shared(kMinLoanBytes);
  std::vector<ps::Buffer> held;
  for (std::uint32_t i = 0; i < kMaxLoans + 2; ++i) {
    REQUIRE(attacked.wait_sent(attacked.client, kLink, {{}, memory.buffer()}));
    REQUIRE(attacked.wait({&attacked.server, &attacked.client},
                          [&] { return !attacked.server.inbox.empty(); }));
    held.push_back(attacked.server.inbox[0].frames.payload);
    attacked.server.inbox.clear();
  }
  memory.bytes()[0] = std::byte{7};
  CHECK(held[kMaxLoans - 1].bytes()[0] == std::byte{7});
  CHECK(held[kMaxLoans].bytes()[0] == std::byte{0});
  CHECK(held[kMaxLoans + 1].bytes()[0] == std::byte{0});
}

TEST_CASE("shm: the socket is private and goes with its owner", "[unit]") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/node.sock";
  {
    ShmTransport transport({});
    transport.bind("shm://" + path);
    struct ::stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

// NOLINTEND(readability-function-cognitive-complexity)
