// A process's part in a job: where models, samples and sums over the workers come from. The same
// program runs alone (an in-process cluster of one worker) and under psrun (many processes), in
// every role.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ps/model.h>
#include <ps/options.h>
#include <ps/samples.h>

namespace ps {

// argv without the flags that Session::open() takes, argv[0] first: for programs that look at their
// own flags (--help, usage errors) before they join a job. Throws what open() throws for a bad
// flag, file or variable.
std::vector<std::string> program_arguments(int argc, char** argv);

// One user's thread drives a Session; none of its functions may be called from two threads at once.
// Several sessions can live in one process. Move-only; destroying one that was not finished tells
// the others that this worker failed.
class Session {
 public:
  // Joins the job that the environment, a configuration file and flags describe
  // (--section.key=value, --config FILE,
  // --print-config; all others are left in arguments()). In a scheduler or server process it serves
  // and exits the process at the end: it never returns there. Blocks until all members have joined.
  // Throws Error: kInvalidArgument (names the key and the nearest valid one), kTimeout or
  // kUnavailable (nobody there), kMismatch (the scheduler refuses this process, and says why).
  static Session open(int argc, char** argv);

  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  [[nodiscard]] std::uint32_t rank() const noexcept;
  [[nodiscard]] std::uint32_t workers() const noexcept;
  // argv without the flags that open() took, argv[0] first.
  [[nodiscard]] const std::vector<std::string>& arguments() const noexcept;
  // Configuration that belongs to the program: [job] seed and [data] path, prefetch.
  [[nodiscard]] std::uint64_t seed() const noexcept;
  [[nodiscard]] const std::string& data_path() const noexcept;
  [[nodiscard]] std::uint32_t prefetch() const noexcept;

  // A model under a name that is the same in every worker. Configuration keys that are set override
  // `options`. Throws Error(kInvalidArgument) for options that mean nothing or a name used before.
  Model model(const std::string& name, const ModelOptions& options);
  // `options` as model() would take them, configuration included: for a program whose own choices
  // depend on the mode or the optimizer in force. Throws as model().
  [[nodiscard]] ModelOptions configured(const ModelOptions& options) const;

  // This worker's batches over `dataset_size` samples, in an order that depends on the seed alone.
  // With sync or local models: step k is slice [k B, (k+1) B) of the epoch's permutation, split
  // over the ranks, so every number of workers sees the same order, and a rank with nothing left
  // gets an empty batch. With a model of another mode: blocks are leased from the scheduler, so
  // fast workers read more. REQUIRES a started model. Throws Error(kInvalidArgument).
  Samples samples(std::uint64_t dataset_size, const SampleOptions& options);
  template <class Dataset>
  requires requires(const Dataset& dataset) { dataset.size(); }
  Samples samples(const Dataset& dataset, const SampleOptions& options) {
    return samples(static_cast<std::uint64_t>(dataset.size()), options);
  }

  // Waits for all workers. Every worker calls barrier() and reduce() in the same order.
  // Throws Error(kTimeout) after cluster.wait_ms, kAborted when the job ends.
  void barrier();
  // Element-wise sum over all workers in rank order: the same bits everywhere. Same lengths
  // everywhere.
  std::vector<double> reduce(std::span<const double> values);

  // This worker's part [first, second) of n things to do, contiguous, by rank.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> slice(std::uint64_t n) const noexcept;

  // The job's progress line, on a terminal live, in a log every few seconds; only rank 0 shows it.
  void progress(const std::string& text);

  // Flushes, pulls the last weights of every model on every rank (all end with the same), and
  // leaves. Blocks until all workers do so. Nothing but destruction may follow.
  void finish();

  class Impl;                                             // ps's own
  explicit Session(std::unique_ptr<Impl> impl) noexcept;  // ps's own

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace ps
