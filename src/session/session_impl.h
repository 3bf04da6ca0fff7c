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
#include "session/all_reduce.h"
#include "session/in_process.h"
#include "session/worker_runtime.h"
#include "worker/accumulator.h"
#include "worker/replica.h"

namespace ps {

class Parameter::Impl {
 public:
  Model::Impl* model = nullptr;
  std::uint32_t index = 0;
  wire::ParameterInfo info;
  Memory weights;
  Memory gradients;
  Encoding encoding;  // once Model::Impl::find_encodings() has run
  Memory encoded;
  bool settled = false;  // in the step under way: it has left, or is no part of it
};

class Model::Impl {
 public:
  Session::Impl* session = nullptr;
  std::string name;
  ModelOptions options;
  // Parameters side by side, so that a GPU's driver pins and copies them in one piece.
  Arena weights;
  Arena gradients;
  Arena encoded;
  bool found_encodings = false;
  std::vector<std::unique_ptr<Parameter::Impl>> storage;
  std::vector<Parameter> parameters;
  std::optional<std::size_t> index;  // in the worker's core, once started
  worker::Accumulator accumulator;
  // In the modes in which workers update weights of their own. Shared: what a Pending has left to
  // do may outlive the session.
  std::shared_ptr<worker::Replica> replica;
  std::shared_ptr<AllReduce> ring;  // Update::kAllReduce, of several workers
  // What restore() was given: of no parameters if it was not called.
  worker::Snapshot restored;
  std::uint64_t checkpoint = 0;  // its hash, never 0 then
  std::vector<double> measured;  // the shards' sums when they were asked last
  bool in_step = false;          // begin_step() without its push_pull() yet
  double weight = 0.0;           // of that step, without what was accumulated
  std::shared_ptr<Pending::State> last;
  std::shared_ptr<Pending::State> center;  // easgd: on its way, for the exchange that ends the step

  // Throws Error(kInvalidArgument) naming `what` unless a step may begin.
  void check_idle(const std::string& what) const;
  // The same for steps, which easgd's center must not take.
  void check_may_step(const std::string& what) const;
  // One step and its parts: the accumulated gradients joined in, and in the worker's core what
  // leaves.
  void begin(worker::Verb verb, double step_weight, std::optional<std::uint32_t> samples);
  // How it is part of it.
  enum class As : std::uint8_t { kGradient, kEncoded, kNothing };
  void settle(Parameter::Impl& parameter, As as);
  // Asks the core how parameters can come encoded, and makes room; once.
  void find_encodings();
  void take_encoded(Parameter::Impl& parameter, std::span<const std::byte> bytes);
  std::shared_ptr<Pending::State> end();

  // The workers' ring, once all of them are there.
  void connect_ring();
  // What has been restored goes into `setup` and the replica. Throws unless it is of this table.
  void check_restored() const;
  void start_from(worker::Worker::ModelSetup& setup) const;
  [[nodiscard]] std::vector<wire::ParameterInfo> table() const;

  // Replica's averaging by itself, the weights of the servers, and nothing at all.
  [[nodiscard]] std::shared_ptr<Pending::State> average() const;
  [[nodiscard]] std::shared_ptr<Pending::State> fetch(wire::Part part = wire::Part::kWeights) const;
  [[nodiscard]] std::shared_ptr<Pending::State> done_at_once() const;

 private:
  // Do the gradients go to the servers, as they become ready?
  [[nodiscard]] bool pushes_gradients() const {
    return !replica || (replica->kind() == worker::Replica::Kind::kReduced && !ring);
  }
  [[nodiscard]] std::shared_ptr<Pending::State> end_on_ring() const;
  [[nodiscard]] std::shared_ptr<Pending::State> end_on_servers() const;
  [[nodiscard]] std::shared_ptr<Pending::State> end_elastic() const;
  [[nodiscard]] std::shared_ptr<Pending::State> end_reduced() const;
  [[nodiscard]] std::shared_ptr<Pending::State> exchange(const worker::StepBegin& begin) const;
  [[nodiscard]] std::shared_ptr<Pending::State> agree() const;
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
