// What every transport must do is tested once (transport_contract_test.cpp), over the harnesses
// below: each says how to make one kind of transport and how its time passes. Waiting is by polling
// the transports' descriptors with a long deadline, so a transport that forgets to wake its owner
// fails.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <poll.h>
#include <string>
#include <vector>

#include <ps/error.h>

#include "net/sim_network.h"
#include "net/transport_factory.h"

namespace ps::net::test {

inline constexpr std::chrono::seconds kDeadline{10};

// A new directory, removed with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Arrived {
  Link from = 0;
  Frames frames;
};

// A transport and what it has received.
struct Node {
  explicit Node(std::unique_ptr<Transport> transport_in) : transport(std::move(transport_in)) {}
  bool drain();  // true when something came
  // The messages from one link, in order.
  [[nodiscard]] std::vector<Arrived> from(Link link) const;

  std::unique_ptr<Transport> transport;
  std::vector<Arrived> inbox;
};

class Harness {
 public:
  virtual ~Harness() = default;
  virtual std::unique_ptr<Transport> make(const TransportLimits& limits) = 0;
  // An endpoint that nobody uses, with every part of it given.
  virtual std::string endpoint() = 0;
  virtual bool pump() { return false; }  // lets simulated time pass; true when something happened

  Node node(const TransportLimits& limits = {}) { return Node(make(limits)); }
  // Drains the nodes and waits for their descriptors until the condition holds: false when it does
  // not within kDeadline. The condition may send.
  [[nodiscard]] bool wait(const std::vector<Node*>& nodes, const std::function<bool()>& condition);
  [[nodiscard]] bool wait_sent(Node& node, Link link, const Frames& frames);
};

// A message: an 8-byte number as the header, `bytes` bytes that depend on it as the payload.
Frames message(std::uint64_t number, std::size_t bytes);
[[nodiscard]] bool is_message(const Frames& frames, std::uint64_t number, std::size_t bytes);

// True when the condition comes true within kDeadline; for what no descriptor tells.
[[nodiscard]] bool eventually(const std::function<bool()>& condition);

int free_tcp_port();

class FactoryHarness : public Harness {
 public:
  explicit FactoryHarness(TransportKind kind) : kind_(kind) {}
  std::unique_ptr<Transport> make(const TransportLimits& limits) override;
  std::string endpoint() override;

 private:
  const TransportKind kind_;
  TemporaryDirectory directory_;
  TransportShared shared_{std::make_shared<InprocHub>(), std::make_shared<ZmqContext>()};
  int names_ = 0;
};

struct Inproc : FactoryHarness {
  Inproc() : FactoryHarness(TransportKind::kInproc) {}
};
struct ZmqTcp : FactoryHarness {
  ZmqTcp() : FactoryHarness(TransportKind::kTcp) {}
};
struct ZmqIpc : FactoryHarness {
  ZmqIpc() : FactoryHarness(TransportKind::kIpc) {}
};
struct Shm : FactoryHarness {
  Shm() : FactoryHarness(TransportKind::kShm) {}
};

class Sim : public Harness {
 public:
  std::unique_ptr<Transport> make(const TransportLimits& limits) override {
    return network_.join(++nodes_, limits);
  }
  std::string endpoint() override { return "sim://name-" + std::to_string(++names_); }
  bool pump() override;

 private:
  SimNetwork network_{1};
  SimNode nodes_ = 0;
  int names_ = 0;
};

// One test case for each, in TEMPLATE_TEST_CASE.
#define PS_EVERY_TRANSPORT Inproc, ZmqTcp, ZmqIpc, Shm, Sim

inline constexpr Link kLink = 7;
inline constexpr std::size_t kMiB = std::size_t{1} << 20;

// A server that is bound and a client whose link kLink to it has carried one message.
struct Pair {
  explicit Pair(Harness& harness, const TransportLimits& limits = {});
  Node server;
  Node client;
  std::string endpoint;
  Link accepted = 0;  // the server's number of that link
};

// The code of the ps::Error that the call throws, and its text.
ErrorCode code_of(const std::function<void()>& call, std::string* text = nullptr);

}  // namespace ps::net::test
