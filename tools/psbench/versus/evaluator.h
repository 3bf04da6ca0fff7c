// Scores kept weights on held-out samples while the training goes on: a thread of rank 0, which
// works while rank 0's emulated computing waits, so that the run's clock does not pay for it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include <ps/model.h>
#include <ps/nn/graph.h>

#include "examples/classify/dataset.h"
#include "run.h"

namespace psbench {

class Evaluator {
 public:
  Evaluator(const RunSpec& spec, const classify::Dataset& held_out);
  ~Evaluator();  // once what was added is scored
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;
  // What follows is for one thread. Copies the weights as they are at `seconds`.
  void add(double seconds, std::span<const ps::Parameter> parameters);
  // Whether some weights that were added have been scored, and have the target.
  [[nodiscard]] bool reached() const { return reached_; }
  // All points, without their samples, once the last is scored. To be called once.
  std::vector<Point> finish();

 private:
  struct Kept {
    double seconds;
    std::vector<std::vector<float>> weights;
  };
  void end();
  void work();
  Point score(Kept kept);

  const RunSpec& spec_;
  const classify::Dataset& held_out_;
  ps::nn::Graph graph_;
  std::vector<Point> points_;  // the thread's, until it has ended
  std::atomic<bool> reached_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Kept> kept_;  // guarded by mutex_; what a run keeps at most, its length bounds
  bool last_ = false;      // likewise
  std::jthread thread_;
};

}  // namespace psbench
