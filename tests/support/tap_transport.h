// A transport that lets everything through and keeps a hash of what was received: two runs that
// hash alike have done the same. Can print it, too.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "net/transport.h"

namespace ps::sim {

struct Trace {
  std::uint64_t hash = 0x9E3779B97F4A7C15ULL;
  std::uint64_t messages = 0;

  void mix(std::uint64_t value) {
    hash = (hash ^ value) * 0xD6E8FEB86659FD93ULL;
    hash ^= hash >> 32;
  }
};

class TapTransport final : public net::Transport {
 public:
  // `trace` and `clock` are not owned. `name` is the receiving node's in what is printed.
  TapTransport(std::unique_ptr<net::Transport> inner,
               std::string name,
               Trace& trace,
               const Clock& clock,
               bool verbose)
      : inner_(std::move(inner)),
        name_(std::move(name)),
        trace_(trace),
        clock_(clock),
        verbose_(verbose) {}

  std::string bind(const std::string& endpoint) override { return inner_->bind(endpoint); }
  void connect(net::Link link, const std::string& endpoint) override {
    inner_->connect(link, endpoint);
  }
  void disconnect(net::Link link) override { inner_->disconnect(link); }
  net::SendResult send(net::Link link, const net::Frames& frames) override {
    return inner_->send(link, frames);
  }
  bool receive(net::Link& from, net::Frames& frames) override;
  [[nodiscard]] int fd() const noexcept override { return inner_->fd(); }
  [[nodiscard]] bool needs_checksum(net::Link link) const noexcept override {
    return inner_->needs_checksum(link);
  }

 private:
  void print(net::Link from, const net::Frames& frames) const;

  std::unique_ptr<net::Transport> inner_;
  std::string name_;
  Trace& trace_;
  const Clock& clock_;
  bool verbose_;
};

}  // namespace ps::sim
