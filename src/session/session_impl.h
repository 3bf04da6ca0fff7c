// What a Session, its Models and its Samples share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ps/session.h>

#include "ops/config.h"
#include "ops/lifeline.h"
#include "ops/progress.h"
#include "session/in_process.h"
#include "session/worker_runtime.h"

namespace ps {

class Parameter::Impl {
 public:
  Model::Impl* model = nullptr;
  std::uint32_t index = 0;
  wire::ParameterInfo info;
  Memory weights;
  Memory gradients;
};

class Model::Impl {
 public:
  Session::Impl* session = nullptr;
  std::string name;
  ModelOptions options;
  std::vector<std::unique_ptr<Parameter::Impl>> storage;
  std::vector<Parameter> parameters;
  std::optional<std::size_t> index;  // in the worker's core, once started
  bool in_step = false;              // begin_step() without its push_pull() yet
  std::shared_ptr<Pending::State> last;

  // Throws Error(kInvalidArgument) naming `what` unless a step may begin.
  void check_idle(const std::string& what) const;
};

class Session::Impl {
 public:
  ops::Config config;
  std::vector<std::string> arguments;
  std::unique_ptr<ops::Lifeline> lifeline;
  std::unique_ptr<InProcessServers> servers;  // alone
  std::shared_ptr<const Fabric> fabric;
  std::unique_ptr<WorkerRuntime> runtime;  // ends before what it uses
  std::vector<std::unique_ptr<Model::Impl>> models;
  std::uint64_t streams = 0;  // samples() loops so far
  MonotonicClock clock;
  std::optional<ops::Progress> progress;
  bool finished = false;

  // A worker of the job that `config` describes.
  static std::unique_ptr<Impl> join(ops::Config config,
                                    std::shared_ptr<const Fabric> fabric,
                                    bool one_process);

  [[nodiscard]] std::uint32_t rank() const {
    return static_cast<std::uint32_t>(config.cluster.index);
  }
  [[nodiscard]] std::uint32_t workers() const {
    return static_cast<std::uint32_t>(config.cluster.workers);
  }
  std::vector<double> collective(const std::string& what, std::vector<double> values);
  void finish();
  // Ends the job for everybody, unless it was finished.
  void abandon(const std::string& reason) noexcept;
};

}  // namespace ps
