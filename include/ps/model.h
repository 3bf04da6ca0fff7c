// A model: named parameters whose weights live on the servers, and one step after the other over
// them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ps/encoding.h>
#include <ps/measures.h>
#include <ps/options.h>
#include <ps/pending.h>
#include <ps/safetensors.h>

namespace ps {

// A handle to one named tensor of fp32 values; cheap to copy, valid as long as its Session. The
// spans' memory belongs to ps, is laid out row-major, and stays where it is.
class Parameter {
 public:
  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] const std::vector<std::int64_t>& shape() const;

  // Before Model::start(): the initial values (rank 0's count). After it: the weights as last
  // pulled. Do not read them between push_pull() or pull() and the end of its wait(), or of
  // wait_for_weights().
  [[nodiscard]] std::span<float> weights() const;
  // Where the user writes the step's gradients (kAverage: the values to average). They must not
  // change from the moment they are pushed until wait() or wait_for_weights() returns.
  [[nodiscard]] std::span<float> gradients() const;

  // Blocks until weights() are those that the model's last push_pull() leaves; other parameters'
  // may still be on their way. So the next forward pass can begin before the last have come, if it
  // calls this for each parameter before it reads it. The next step begins only once the Pending is
  // done. Without a step at once. Early in sync mode without backup workers, in async and in ssp
  // mode; else, and after push() or pull(), with the whole Pending. The session's thread. Throws
  // as Pending::wait() does, and Error(kInvalidArgument) where the step under way has pushed or
  // skipped it and not ended.
  void wait_for_weights(std::optional<std::chrono::milliseconds> timeout = std::nullopt) const;

  // The gradient is complete: it may leave while the backward pass goes on. REQUIRES:
  // Model::begin_step() before.
  void push_pull() const;
  // The same for gradients that the program encodes itself: ps/encoding.h says how.
  void push_pull(std::span<const std::byte> bytes) const;
  [[nodiscard]] const Encoding& encoding() const;
  [[nodiscard]] std::span<std::byte> encoded() const;
  // This step does not touch it: it contributes n = 0 to the mean. Likewise.
  void skip() const;

 private:
  friend class Model;
  class Impl;
  explicit Parameter(Impl* impl) : impl_(impl) {}
  Impl* impl_;
};

// Handle; cheap to copy, valid as long as its Session. Driven by the session's thread.
class Model {
 public:
  // Sets a parameter's initial values, in place.
  using Initializer = std::function<void(std::span<float>)>;

  // Adds a parameter of `shape` (every dimension >= 1; {} is a scalar). The order of adding is the
  // order of the forward pass: early parameters are sent first. Without an initializer it starts at
  // 0. Throws Error(kInvalidArgument): a name twice, a bad shape, or after start().
  Parameter add(const std::string& name,
                const std::vector<std::int64_t>& shape,
                const Initializer& initializer = {},
                ParameterKind kind = ParameterKind::kTrained);

  // Registers the table with the scheduler (all workers' tables must be equal), places it on the
  // servers, and fetches rank 0's values. Blocks until all workers have. Throws Error(kMismatch)
  // naming two workers and what differs.
  void start();

  // All that training needs to go on from here: weights; the optimizer's states, "<name>#state0"
  // and on; the moving average, "<name>#average"; the counts of updates and samples, in the
  // metadata under "ps.". Add what the program itself has to remember to the metadata, and
  // save() it. Blocks; weights() stay as they are. Any one worker calls it between two of
  // its steps; in local mode every worker, and all average first, as by pull(). What each mode goes
  // on with exactly: docs/consistency.md. Throws Error(kInvalidArgument) before start(), during a
  // step, or with gradients put aside by accumulate(); kUnavailable for a chunk that changed while
  // it was fetched (async and ssp, chunks of many megabytes).
  SafetensorsFile checkpoint();
  // start() will go on from there, with any number of workers and servers, and any chunk size.
  // Every worker calls it with the same checkpoint, after the last add(). weights() are the
  // checkpoint's at once. Throws Error: kInvalidArgument after start(); kMismatch naming the tensor
  // for another model or optimizer; kCorrupt for counts that make no sense. The model is then as it
  // was.
  void restore(const SafetensorsFile& checkpoint);

  // Begins a step whose gradients leave one by one (Parameter::push_pull()) while the backward pass
  // runs. `weight` is n of the weighted mean, usually the number of samples; 0: nothing to
  // contribute. `samples` is what the step consumed of the data, for schedules; by default the
  // weight, rounded. Throws Error(kInvalidArgument) if a step is under way or `weight` is neither
  // 0 nor in [1e-30, 1e30].
  void begin_step(double weight, std::optional<std::uint32_t> samples = std::nullopt);
  [[nodiscard]] std::uint64_t step_number() const;  // of the step under way: ps/encoding.h
  // Ends the step: what has not left, leaves. Done when the updated weights are in weights().
  Pending push_pull();
  // begin_step() and push_pull() in one.
  Pending push_pull(double weight, std::optional<std::uint32_t> samples = std::nullopt);

  // Puts the gradients aside, as they stand, with their weight: the next step takes the weighted
  // mean of all that was put aside and of its own, as one pass over the joined batch would (and the
  // sum under Reduce::kSum). That mean is then in gradients(). For losses that are means over their
  // samples. Sends nothing. Throws Error(kInvalidArgument) as begin_step().
  void accumulate(double weight, std::optional<std::uint32_t> samples = std::nullopt);

  // The halves alone: push() is done when the gradients have been applied, pull() when the weights
  // are there. Where workers update weights of their own (local, easgd, Update::kWorker), push() is
  // push_pull(), and pull() brings what all have in common: in local mode the mean, every worker
  // must call it; in easgd mode the center, until resume().
  Pending push(double weight, std::optional<std::uint32_t> samples = std::nullopt);
  Pending pull();
  // Pulls the moving average (ModelOptions::ema) instead; pull() brings the weights back. Throws
  // Error(kInvalidArgument) where none is kept, and where workers have weights of their own.
  Pending pull_average();
  // What the shards have measured since the last call. Blocks. Throws Error(kInvalidArgument)
  // before start(), during a step, or without ModelOptions::measure.
  Measures measures();
  // After a pull() in easgd mode: this worker's own weights again; no step may begin before. Does
  // nothing in other modes. Throws Error(kInvalidArgument) before start() or during a step.
  void resume();

  [[nodiscard]] const std::string& name() const;
  // The options in force, configuration included.
  [[nodiscard]] const ModelOptions& options() const;
  [[nodiscard]] std::span<const Parameter> parameters() const;
  // XXH64 (seed 0) over the weights as last pulled: names in ascending byte order, each parameter's
  // values as little-endian fp32.
  [[nodiscard]] std::uint64_t hash() const;

  class Impl;
  explicit Model(Impl* impl) : impl_(impl) {}  // ps's own

 private:
  Impl* impl_;
};

}  // namespace ps
