// The servers' fused update against y += x on arrays of the same size, one thread. The bytes are
// those of kernels/update.h's count, so a perfect pass reaches y += x.
#include "kernels/update.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "commands.h"
#include "kernels/finite.h"
#include "kernels/isa.h"
#include "kernels/reduce.h"
#include "timing.h"

namespace psbench {
namespace {

using ps::Memory;
using ps::kernels::UpdatePass;

struct UpdateOptions {
  SizeOptions size{.bytes = std::size_t{256} << 20, .seconds = 10.0};
  std::vector<std::string> rules{"momentum", "adam"};
  std::vector<std::size_t> workers{1, 2, 4};
  bool in_place = false;
};

// One rule on all elements; what it moves besides the contributions, bytes an element.
struct Rule {
  std::string name;
  std::size_t bytes;
  std::function<void(const UpdatePass&)> run;
};

template <class R>
Rule rule(const char* name, bool (*pass)(const UpdatePass&, const R&), R settings = {}) {
  if constexpr (requires { settings.lr; }) settings.lr = 1e-3F;
  if constexpr (requires { settings.epsilon; }) settings.epsilon = 1e-8F;
  if constexpr (requires { settings.rate; }) settings.rate = 1e-3F;
  return {name, 8 + 8 * static_cast<std::size_t>(R::kStates),
          [=](const UpdatePass& arrays) { pass(arrays, settings); }};
}

std::vector<Rule> all_rules() {
  using namespace ps::kernels;  // NOLINT: a dozen names
  const UpdateOps& ops = update(best_isa());
  const AdamRule adam{.step = 1e-3F,
                      .root_scale = 1.0F,
                      .beta1 = 0.9F,
                      .rest1 = 0.1F,
                      .beta2 = 0.999F,
                      .rest2 = 0.001F,
                      .epsilon = 1e-8F};
  return {rule("sgd", ops.sgd),
          rule("momentum", ops.momentum, {.weight_decay = 1e-4F, .momentum = 0.9F}),
          rule("nesterov", ops.nesterov, {.momentum = 0.9F}),
          rule("adam", ops.adam, adam),
          rule("adagrad", ops.adagrad),
          rule("rmsprop", ops.rmsprop, {.alpha = 0.99F, .rest = 0.01F}),
          rule("rmsprop_momentum", ops.rmsprop_momentum,
               {.alpha = 0.99F, .rest = 0.01F, .momentum = 0.9F}),
          rule("lars", ops.lars, {.momentum = 0.9F}),
          rule("lamb", ops.lamb, {.adam = adam}),
          rule("ftrl", ops.ftrl, {.inverse_lr = 1e3F, .beta = 1.0F, .l2 = 1.0F}),
          rule("ema", ops.ema, {.keep = 0.999F, .rest = 0.001F})};
}

// What all rules work on.
class Arrays {
 public:
  Arrays(std::size_t bytes, std::size_t contributions, bool in_place)
      : size_(bytes / sizeof(float)) {
    weights_ = filled(1.0F);
    new_weights_ = in_place ? weights_ : filled(0.0F);
    state_ = filled(1e-6F);
    state2_ = filled(1e-6F);
    for (std::size_t i = 0; i < contributions; ++i) {
      gradients_.push_back(filled(1e-6F));
      terms_.push_back({.values = gradients_.back().as<float>().data(), .weight = 32.0F});
    }
  }

  [[nodiscard]] UpdatePass pass(std::size_t contributions) const {
    return {.size = size_,
            .weights = weights_.as<float>().data(),
            .new_weights = new_weights_.as<float>().data(),
            .state = state_.as<float>().data(),
            .state2 = state2_.as<float>().data(),
            .gradient = {.contributions = terms_.data(),
                         .count = contributions,
                         .divisor = 32.0F * static_cast<float>(contributions)}};
  }
  void add() const {
    ps::kernels::reduce(ps::kernels::best_isa())
        .add(new_weights_.as<float>().data(), gradients_.front().as<float>().data(), 1.0F, size_);
  }
  void look() const {
    // The answer is kept, or the compiler may leave the question out.
    all_finite_ = ps::kernels::all_finite(weights_.as<float>());
  }

 private:
  [[nodiscard]] Memory filled(float value) const {
    Memory memory = Memory::allocate(size_ * sizeof(float));
    std::ranges::fill(memory.as<float>(), value);
    return memory;
  }

  std::size_t size_;
  Memory weights_, new_weights_, state_, state2_;
  std::vector<Memory> gradients_;
  std::vector<ps::kernels::WeightedValues> terms_;
  mutable volatile bool all_finite_ = true;
};

struct Row {
  std::string name;
  std::size_t workers;
  std::size_t bytes;  // an element
  const Samples* samples;
};

std::vector<Row> add_rows(const UpdateOptions& o, const Arrays& arrays, Turns& turns) {
  std::vector<Row> rows;
  const auto wanted = [&](const std::string& name) {
    return std::ranges::any_of(o.rules, [&](const auto& r) { return r == name || r == "all"; });
  };
  for (const Rule& rule : all_rules()) {
    if (!wanted(rule.name)) continue;
    for (const std::size_t n : o.workers) {
      const UpdatePass pass = arrays.pass(n);
      rows.push_back(
          {rule.name, n, 4 * n + rule.bytes, &turns.add([run = rule.run, pass] { run(pass); })});
    }
  }
  if (wanted("finite")) {
    rows.push_back({"finite", 0, 4, &turns.add([&arrays] { arrays.look(); })});
  }
  return rows;
}

int run(const UpdateOptions& o) {
  const Arrays arrays(o.size.bytes, *std::ranges::max_element(o.workers), o.in_place);
  const auto elements = static_cast<double>(o.size.bytes / sizeof(float));
  Turns turns;
  const Samples& add = turns.add([&] { arrays.add(); });
  const std::vector<Row> rows = add_rows(o, arrays, turns);
  turns.run(o.size.seconds);

  const double limit = 12e-9 * elements / add.median();
  std::printf("%-18s %3s %10s %10s %8s %8s %8s\n", "rule", "N", "B/element", "ns/element", "GB/s",
              "ratio", "spread");
  std::printf("%-18s %3s %10d %10.3f %8.1f %8.2f %7.1f%%\n", "y += x", "", 12,
              1e9 * add.median() / elements, limit, 1.0, 100.0 * add.spread());
  Score worst{.goodput = 0.0, .limit = limit};
  nlohmann::json list = nlohmann::json::array();
  for (const Row& row : rows) {
    const double seconds = row.samples->median();
    const Score score{.goodput = 1e-9 * static_cast<double>(row.bytes) * elements / seconds,
                      .limit = limit};
    std::printf("%-18s %3zu %10zu %10.3f %8.1f %8.2f %7.1f%%\n", row.name.c_str(), row.workers,
                row.bytes, 1e9 * seconds / elements, score.goodput, score.ratio(),
                100.0 * row.samples->spread());
    list.push_back({{"rule", row.name},
                    {"workers", row.workers},
                    {"bytes_per_element", row.bytes},
                    {"goodput", score.goodput},
                    {"ratio", score.ratio()},
                    {"spread", row.samples->spread()}});
    if (worst.goodput == 0.0 || score.goodput < worst.goodput) worst = score;
  }
  if (o.size.json) {
    print_json(worst, {{"of", "the slowest row"},
                       {"bytes", o.size.bytes},
                       {"in_place", o.in_place},
                       {"spread_of_limit", add.spread()},
                       {"rows", list},
                       {"isa", ps::kernels::to_string(ps::kernels::best_isa())}});
  }
  return 0;
}

}  // namespace

Command update_command(CLI::App& app) {
  auto o = std::make_shared<UpdateOptions>();
  CLI::App* command =
      app.add_subcommand("update",
                         "The servers' update, one thread, in bytes a second beside y += x. By "
                         "count: 4 N + 8 bytes an element, and 8 for each state of the rule");
  declare(*command, o->size, "Of each array");
  std::vector<std::string> names{"all", "finite"};
  for (const Rule& rule : all_rules()) names.push_back(rule.name);
  command
      ->add_option("--rule", o->rules,
                   "Rules, with commas; finite: only whether all values are finite")
      ->delimiter(',')
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  command->add_option("--workers", o->workers, "Numbers N of contributions, with commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_flag("--in-place", o->in_place,
                    "New weights over the old ones; servers write them beside, for answers under "
                    "way keep the old");
  return {command, [o] { return run(*o); }};
}

}  // namespace psbench
