// A rate, a momentum and a bias's warm-up that change with the samples, in every mode: servers and
// workers' replicas alike.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <ps/ps.hpp>

#include "support/catch.h"

namespace {

constexpr std::uint64_t kBatch = 16;
constexpr std::size_t kSteps = 14;

// Batches of 16; the warm-up takes 8, an epoch 5, the decay 3 epochs.
ps::ModelOptions options_of(const ps::Consistency& mode, ps::Update update) {
  return {.mode = mode,
          .optimizer = ps::Sgd{.lr = 0.1F, .momentum = 0.9F, .nesterov = true},
          .schedule = {.kind = ps::Schedule::Kind::kLinear,
                       .warmup_samples = 8 * kBatch,
                       .total_samples = 15 * kBatch,
                       .final_factor = 0.25F,
                       .epoch_samples = 5 * kBatch,
                       .decay_from_start = true,
                       .warmup_power = 2,
                       .warmup_momentum = 0.5F},
          .groups = {{.pattern = "*.bias", .lr_scale = 0.5F, .warmup_start = 8.0F}},
          .update = update};
}

// One weight by itself, in float64.
struct Reference {
  double start;
  double scale;
  double w = 0;
  double v = 0;
  static double part(std::size_t step) { return std::min(1.0, double(step) / 8); }
  static double rate(std::size_t step, double start) {
    const double decayed = 1 - 0.75 * double(step / 5) / 3;
    return 0.1 * (start + (decayed - start) * part(step) * part(step));
  }
  void take(std::size_t step, double g) {
    const double mu = 0.5 + 0.4 * part(step);
    v = mu * v + g;
    w -= scale * rate(step, start) * (g + mu * v);
  }
};

bool near(double got, double expected) {
  return std::abs(got - expected) <= 4e-6 * std::abs(expected);
}

void train(const ps::ModelOptions& options) {
  ps::LocalCluster::run(1,
                        [&](ps::Session& session) {
                          ps::Model model = session.model("m", options);
                          const ps::Parameter weight = model.add("conv.weight", {1, 1});
                          const ps::Parameter bias = model.add("conv.bias", {1});
                          const ps::Parameter mean =
                              model.add("bn.mean", {1}, {}, ps::ParameterKind::kAverage);
                          model.start();
                          Reference of_weight{.start = 0, .scale = 1};
                          Reference of_bias{.start = 8, .scale = 0.5};
                          for (std::size_t step = 0; step < kSteps; ++step) {
                            const float g = 1.0F - 0.2F * static_cast<float>(step % 7);
                            for (const ps::Parameter& each : {weight, bias, mean})
                              std::ranges::fill(each.gradients(), g);
                            const ps::StepInfo info = model.push_pull(double{kBatch}).wait();
                            of_weight.take(step, g);
                            of_bias.take(step, g);
                            PS_CHECK_IN_THREAD(near(weight.weights()[0], of_weight.w));
                            PS_CHECK_IN_THREAD(near(bias.weights()[0], of_bias.w));
                            // The rate of parameters without a group, whatever came last.
                            PS_CHECK_IN_THREAD(near(info.lr, Reference::rate(step, 0)));
                          }
                          session.finish();
                        },
                        {.servers = 2});
}

}  // namespace

TEST_CASE("schedule: every mode has the rate and the momentum of its samples", "[unit][session]") {
  using ps::Update;
  train(options_of(ps::Sync{}, Update::kServer));
  train(options_of(ps::Sync{}, Update::kWorker));
  train(options_of(ps::Async{}, Update::kServer));
  train(options_of(ps::Ssp{.staleness = 1}, Update::kServer));
  train(options_of(ps::LocalSgd{.steps = 2, .average_state = true}, Update::kServer));
  train(options_of(ps::Easgd{.period = 1000}, Update::kServer));
}
