// The end of a run is agreed on without a message, since in the modes where nobody waits nobody
// should: rank 0 leaves a file. Where all must make the same steps, it says which is the last:
// one that nobody can get past before rank 0 has pushed, hence before the file is there.
#include "train.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sys/resource.h>
#include <thread>
#include <variant>
#include <vector>

#include <ps/model.h>

#include "arms.h"
#include "base/random.h"
#include "data.h"
#include "evaluator.h"
#include "psbench/timing.h"
#include "straggler.h"

namespace psbench {
namespace {

class StopSign {
 public:
  StopSign(std::string path, const ps::Consistency& mode) : path_(std::move(path)) {
    if (const auto* sync = std::get_if<ps::Sync>(&mode)) round_ = sync->backup_workers == 0 ? 1 : 0;
    if (const auto* local = std::get_if<ps::LocalSgd>(&mode)) round_ = local->steps;
  }
  // Rank 0's, between steps `done` and `done` + 1.
  void raise(std::uint64_t done) {
    if (last_) return;
    last_ = round_ == 0 ? done : (done / round_ + 1) * round_;
    const std::string whole = path_ + ".new";
    std::ofstream(whole) << *last_;
    std::filesystem::rename(whole, path_);
  }
  // Whether a worker that has made so many steps makes no other.
  bool ends_after(std::uint64_t done) {
    if (!last_ && std::filesystem::exists(path_)) {
      std::uint64_t last = 0;
      std::ifstream(path_) >> last;
      last_ = last;
    }
    return last_ && (round_ == 0 || done >= *last_);
  }

 private:
  std::string path_;
  std::uint64_t round_ = 0;  // steps after which all meet; 0: they need not
  std::optional<std::uint64_t> last_;
};

double cpu_seconds(const rusage& use) {
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

void wait_until(double time) {
  const double left = time - now();
  if (left > 0.0) std::this_thread::sleep_for(std::chrono::duration<double>(left));
}

class Training {
 public:
  Training(ps::Session& session, const RunSpec& spec, const std::string& sign)
      : session_(session),
        spec_(spec),
        arm_(arm_of(spec.arm)),
        images_(read_images(spec.data)),
        model_(session.model("versus",
                             {.mode = arm_.mode,
                              .optimizer = ps::Sgd{.lr = spec.lr, .momentum = spec.momentum},
                              .update = arm_.update})),
        graph_(build(spec.network)),
        sign_(sign, model_.options().mode),
        straggler_(spec.straggler, spec.workers, spec.seed),
        random_(spec.seed, (std::uint64_t{1} << 32U) + session.rank()) {
    std::size_t index = 0;
    for (const ps::nn::Parameter& parameter : graph_.parameters()) {
      const ps::Parameter added = model_.add(
          parameter.name, parameter.shape,
          [&](std::span<float> values) { ps::nn::initialize(parameter, spec.seed, values); },
          parameter.kind);
      graph_.bind(index++, added.weights(), added.gradients());
    }
    graph_.prepare(spec.batch);
  }

  WorkerLog run() {
    model_.start();
    if (session_.rank() == 0) evaluator_ = std::make_unique<Evaluator>(spec_, images_.held_out);
    session_.barrier();
    log_.begin = now();
    rusage before{};
    getrusage(RUSAGE_SELF, &before);
    for (std::uint64_t done = 0; !sign_.ends_after(done); ++done) {
      step(done);
      if (evaluator_) look(done + 1);
    }
    log_.end = now();
    rusage after{};
    getrusage(RUSAGE_SELF, &after);
    log_.cpu_seconds = cpu_seconds(after) - cpu_seconds(before);
    log_.peak_mib = static_cast<double>(after.ru_maxrss) / 1024.0;
    session_.finish();
    if (evaluator_) log_.points = evaluator_->finish();
    return std::move(log_);
  }

 private:
  void step(std::uint64_t number) {
    const double end = now() + spec_.step_seconds * straggler_.duration(session_.rank(), number);
    std::vector<std::uint32_t> indices(spec_.batch);
    for (std::uint32_t& i : indices) {
      i = static_cast<std::uint32_t>(random_.below(images_.train.size()));
    }
    const classify::Batch batch = classify::make_batch(images_.train, indices);
    loss_ = graph_.forward_backward(batch.images, batch.labels, {}).loss;
    if (now() > end) ++log_.overruns;
    wait_until(end);
    const ps::StepInfo info = model_.push_pull(spec_.batch).wait();
    if (info.late > 0) ++log_.late;
    log_.staleness.push_back(info.staleness);
    log_.done.push_back(now());
  }

  // Rank 0's, after `done` steps: on schedule it keeps the weights, which another thread scores.
  void look(std::uint64_t done) {
    const double seconds = now() - log_.begin;
    const auto* local = std::get_if<ps::LocalSgd>(&model_.options().mode);
    const bool common = local == nullptr || done % local->steps == 0;
    if (seconds >= next_ && common) {
      while (next_ <= seconds) next_ += spec_.evaluate_seconds;
      const bool elastic = std::holds_alternative<ps::Easgd>(model_.options().mode);
      if (elastic) model_.pull().wait();  // what is wanted is the center
      evaluator_->add(seconds, model_.parameters());
      if (elastic) model_.resume();
    }
    if (evaluator_->reached() || seconds >= spec_.seconds || !std::isfinite(loss_)) {
      sign_.raise(done);
    }
  }

  ps::Session& session_;
  const RunSpec& spec_;
  const Arm& arm_;
  const Images images_;
  ps::Model model_;
  ps::nn::Graph graph_;
  StopSign sign_;
  Straggler straggler_;
  ps::Random random_;
  std::unique_ptr<Evaluator> evaluator_;  // rank 0's
  WorkerLog log_;
  double next_ = 0.0;  // when weights are kept next
  double loss_ = 0.0;
};

}  // namespace

WorkerLog train(ps::Session& session, const RunSpec& spec, const std::string& sign) {
  return Training(session, spec, sign).run();
}

}  // namespace psbench
