#include "session/fabric.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <ps/error.h>

#include "ops/malloc.h"

namespace ps {
namespace {

net::TransportKind choose(ops::TransportKind kind, bool one_process) {
  switch (kind) {
    case ops::TransportKind::kAuto:
      return one_process ? net::TransportKind::kInproc : net::TransportKind::kShm;
    case ops::TransportKind::kInproc:
      break;
    case ops::TransportKind::kIpc:
      return net::TransportKind::kIpc;
    case ops::TransportKind::kTcp:
      return net::TransportKind::kTcp;
    case ops::TransportKind::kShm:
      return net::TransportKind::kShm;
  }
  if (!one_process) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "transport.kind is inproc, which cannot reach other processes: use auto, shm, ipc or tcp");
  }
  return net::TransportKind::kInproc;
}

// mkdtemp makes it 0700, so nobody else's process can connect.
std::string make_private_directory() {
  std::string path = (std::filesystem::temp_directory_path() / "ps-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) {
    throw Error(ErrorCode::kUnavailable, "cannot make a directory like " + path + " for sockets: " +
                                             std::strerror(errno) + "; set transport.directory");
  }
  return path;
}

}  // namespace

Fabric::Fabric(const ops::TransportConfig& config, bool one_process) {
  options_.kind = choose(config.kind, one_process);
  options_.allow_insecure_network = config.allow_insecure_network;
  switch (options_.kind) {
    case net::TransportKind::kInproc:
      shared_.hub = std::make_shared<net::InprocHub>();
      break;
    case net::TransportKind::kTcp:
      place_ = config.host;
      break;
    case net::TransportKind::kIpc:
    case net::TransportKind::kShm:
      place_ = config.directory;
      if (place_.empty()) place_ = own_directory_ = make_private_directory();
      break;
  }
  if (options_.kind == net::TransportKind::kIpc || options_.kind == net::TransportKind::kTcp) {
    ops::keep_freed_memory();
    shared_.context = std::make_shared<net::ZmqContext>();
  }
}

Fabric::~Fabric() {
  shared_ = {};
  std::error_code ignored;
  if (!own_directory_.empty()) std::filesystem::remove_all(own_directory_, ignored);
}

std::unique_ptr<net::Transport> Fabric::make_transport() const {
  return net::make_transport(options_, shared_);
}

std::string Fabric::endpoint(const std::string& name) const {
  return net::bind_endpoint(options_.kind, place_, name);
}

}  // namespace ps
