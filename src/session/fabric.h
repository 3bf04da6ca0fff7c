// How the nodes of one job reach each other: the transport in force, what its sockets share, and
// where they lie.
#pragma once

#include <memory>
#include <string>

#include "net/transport_factory.h"
#include "ops/config.h"

namespace ps {

class Fabric {
 public:
  // `kind` kAuto is inproc for a job in one process and shm otherwise. Makes a private directory
  // for sockets if it needs one and none is configured; the destructor removes that. Throws
  // Error(kUnavailable).
  Fabric(const ops::TransportConfig& config, bool one_process);
  ~Fabric();
  Fabric(const Fabric&) = delete;
  Fabric& operator=(const Fabric&) = delete;

  [[nodiscard]] net::TransportKind kind() const { return options_.kind; }
  // For what is sent.
  [[nodiscard]] AllocateMemory memory() const { return net::memory_of(options_.kind); }
  // On the thread that will own it.
  [[nodiscard]] std::unique_ptr<net::Transport> make_transport() const;
  // What a node called `name` binds.
  [[nodiscard]] std::string endpoint(const std::string& name) const;

 private:
  net::TransportOptions options_;
  net::TransportShared shared_;
  std::string place_;          // host or directory
  std::string own_directory_;  // to be removed
};

}  // namespace ps
