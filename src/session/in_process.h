// The scheduler and the servers of a job that lives in one process: threads, ended with it.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "session/fabric.h"
#include "session/roles.h"

namespace ps {

class InProcessServers {
 public:
  // Starts them; on return config().cluster.scheduler is bound. Throws Error if a node cannot bind.
  explicit InProcessServers(ops::Config config);
  // Waits a moment for the job to end by itself, then ends it.
  ~InProcessServers();
  InProcessServers(const InProcessServers&) = delete;
  InProcessServers& operator=(const InProcessServers&) = delete;

  [[nodiscard]] const ops::Config& config() const { return config_; }
  [[nodiscard]] const std::shared_ptr<const Fabric>& fabric() const { return fabric_; }

 private:
  ops::Config config_;
  std::shared_ptr<const Fabric> fabric_;
  std::vector<std::jthread> threads_;
};

}  // namespace ps
