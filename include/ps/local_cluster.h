// A whole job in one process: scheduler, servers and workers as threads. For tests, small machines
// and debuggers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ps/session.h>

namespace ps {

struct LocalClusterOptions {
  std::uint32_t servers = 1;
  // "inproc", "ipc", "tcp" or "shm".
  std::string transport = "inproc";
  std::uint64_t seed = 1;
  // More settings, as flags would give them: {"--consistency.mode=async"}.
  std::vector<std::string> flags = {};
};

class LocalCluster {
 public:
  // Runs `worker` on `workers` threads, each with its own Session, and returns when all have ended.
  // A session that was not finished is finished when its function returns. If functions throw, the
  // job ends and the first exception is rethrown here.
  static void run(std::uint32_t workers,
                  const std::function<void(Session&)>& worker,
                  const LocalClusterOptions& options = {});
};

}  // namespace ps
