#include "step_job.h"

#include <cmath>
#include <span>
#include <vector>

#include <ps/error.h>
#include <ps/nn/detection.h>
#include <ps/nn/detector.h>
#include <ps/ps.hpp>

#include "base/random.h"
#include "kernels/device.h"
#include "kernels/free_memory.h"

namespace psbench {
namespace {

class Trainer {
 public:
  Trainer(ps::Session& session,
          const StepOptions& o,
          const ps::Device& device,
          ps::Precision precision)
      : batch_(o.batch),
        detector_(ps::nn::detector_table(o.model), o.classes, o.size, o.size),
        criterion_(detector_.head(), ps::nn::default_loss_options(detector_.head()), o.batch),
        // A rate that changes hardly anything: every step does the same work.
        model_(session.model(
            "bench", {.mode = ps::Sync{}, .optimizer = ps::Sgd{.lr = 1e-7F, .momentum = 0.9F}})),
        images_(static_cast<std::size_t>(o.batch * 3 * o.size * o.size) * sizeof(float)) {
    ps::nn::Graph& graph = detector_.graph();
    for (std::size_t i = 0; i < graph.parameters().size(); ++i) {
      const ps::nn::Parameter& parameter = graph.parameters()[i];
      const auto first = [&](std::span<float> values) { detector_.initialize(i, 1, values); };
      const ps::Parameter place =
          model_.add(parameter.name, parameter.shape, first, parameter.kind);
      graph.bind(i, place.weights(), place.gradients());
      weight_bytes_ += place.weights().size_bytes();
    }
    model_.start();
    const std::size_t before = ps::kernels::free_memory(device.index);
    graph.prepare(o.batch, device, precision);
    if (precision == ps::Precision::kFp16) graph.scale_loss(1024.0F);
    ps::Random random(7);
    for (float& value : images()) value = static_cast<float>(random.uniform(0.0, 1.0));
    const auto place = [&] { return static_cast<float>(random.uniform(0.2, 0.8)); };
    const auto side = [&] { return static_cast<float>(random.uniform(0.05, 0.5)); };
    for (std::int64_t i = 0; i < 8 * o.batch; ++i) {
      targets_.push_back({static_cast<std::int32_t>(i / 8),
                          static_cast<std::int32_t>(i % o.classes), place(), place(), side(),
                          side()});
    }
    local();  // what is allocated late, is now
    device_bytes_ = before - ps::kernels::free_memory(device.index);
  }

  double local() {
    return wall_seconds_of([&] { check(run({})); });
  }
  double pushed() {
    return wall_seconds_of([&] {
      model_.begin_step(static_cast<double>(batch_));
      check(run([&](std::size_t i) { model_.parameters()[i].push_pull(); }));
      if (!model_.push_pull().wait().accepted) {
        throw ps::Error(ps::ErrorCode::kAborted, "the servers refused a gradient");
      }
    });
  }

  void sizes(StepTimes& times) const {
    times.device_bytes = device_bytes_;
    times.weight_bytes = weight_bytes_;
    times.image_bytes = images_.size();
  }

 private:
  [[nodiscard]] std::span<float> images() const {
    return {images_.as<float>(), images_.size() / sizeof(float)};
  }
  ps::nn::DetectionLoss run(const ps::nn::GradientReady& ready) {
    return detector_.graph().forward_backward(images(), criterion_, targets_, ready);
  }
  static void check(const ps::nn::DetectionLoss& loss) {
    if (std::isfinite(loss.total)) return;
    throw ps::Error(ps::ErrorCode::kInternal, "the loss is not finite");
  }

  std::int64_t batch_;
  ps::nn::Detector detector_;
  ps::nn::DetectionCriterion criterion_;
  ps::Model model_;
  ps::kernels::PinnedBuffer images_;
  std::vector<ps::nn::Target> targets_;
  std::size_t weight_bytes_ = 0;
  std::size_t device_bytes_ = 0;
};

}  // namespace

StepTimes time_steps(const StepOptions& o, const ps::Device& device, ps::Precision precision) {
  StepTimes times;
  ps::LocalCluster::run(1,
                        [&](ps::Session& session) {
                          Trainer trainer(session, o, device, precision);
                          trainer.sizes(times);
                          const int turn = o.quick ? 1 : 10;
                          std::vector<double> local;
                          std::vector<double> pushed;
                          for (int i = 0; i < turn; ++i) trainer.pushed();
                          for (double spent = 0.0;
                               local.empty() || (!o.quick && spent < o.seconds);) {
                            for (int i = 0; i < turn; ++i)
                              spent += local.emplace_back(trainer.local());
                            for (int i = 0; i < turn; ++i)
                              spent += pushed.emplace_back(trainer.pushed());
                          }
                          times.local = spread_of(local);
                          times.pushed = spread_of(pushed);
                        },
                        {.servers = o.servers});
  return times;
}

}  // namespace psbench
