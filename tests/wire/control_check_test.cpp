// What control messages mean: each rule once, just inside and just outside.
#include <cmath>
#include <limits>

#include "support/catch.h"
#include "wire/control.h"
#include "wire/samples.h"

namespace ps::wire {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Register with_options(const ModelOptions& options) {
  Register registration = samples::registration();
  registration.options = options;
  return registration;
}

std::string optimizer_problem(const Optimizer& optimizer) {
  return problem(with_options({.optimizer = optimizer}));
}

std::string schedule_problem(const Schedule& schedule) {
  return problem(with_options({.schedule = schedule}));
}

std::string table_problem(std::vector<ParameterInfo> parameters) {
  return problem(Register{.name = "m", .parameters = std::move(parameters)});
}

std::string shape_problem(std::vector<std::int64_t> shape) {
  return table_problem({{"w", std::move(shape), ParameterKind::kTrained}});
}

TEST_CASE("control: names are not empty, not long and UTF-8", "[unit]") {
  CHECK(problem(Register{.name = "m"}).empty());
  CHECK(problem(Register{.name = ""}) == "the model's name is empty");
  CHECK(problem(Register{.name = std::string(256, 'm')}).empty());
  CHECK(problem(Register{.name = std::string(257, 'm')}) ==
        "the model's name has 257 bytes, at most 256 are allowed");
  CHECK(problem(Register{.name = "\xFF"}) == "the model's name is not UTF-8");
  CHECK(table_problem({{"a", {1}}, {"", {1}}}) == "parameter 1: name is empty");
  CHECK(table_problem({{"a", {1}}, {"b", {1}}, {"a", {1}}}) ==
        "parameter 2 'a' has the name of parameter 0");
}

TEST_CASE("control: shapes have positive dimensions and at most 2^40 elements", "[unit]") {
  CHECK(shape_problem({}).empty());
  CHECK(shape_problem({1}).empty());
  CHECK(shape_problem({1 << 20, 1 << 20}).empty());
  CHECK(shape_problem({1, 1, 1, 1, 1, 1, 1, 1}).empty());
  CHECK(shape_problem({3, 0}) == "parameter 0 'w' has a dimension of 0, at least 1 expected");
  CHECK(shape_problem({-4}) == "parameter 0 'w' has a dimension of -4, at least 1 expected");
  const std::string too_large = "parameter 0 'w' has more than 1099511627776 elements";
  CHECK(shape_problem({(std::int64_t{1} << 40) + 1}) == too_large);
  CHECK(shape_problem({1 << 20, (1 << 20) + 1}) == too_large);
  CHECK(shape_problem({INT64_MAX, INT64_MAX, 2}) == too_large);  // 2^127 wraps around to small
  CHECK(shape_problem({std::int64_t{1} << 32, std::int64_t{1} << 32}) == too_large);
  CHECK(shape_problem({1, 1, 1, 1, 1, 1, 1, 1, 1}) ==
        "parameter 0 'w' has 9 dimensions, at most 8 are allowed");
}

TEST_CASE("control: optimizers have numbers they can work with", "[unit]") {
  CHECK(optimizer_problem(Sgd{.lr = 0}).empty());
  CHECK(optimizer_problem(Sgd{.lr = 1e30F, .momentum = 1, .nesterov = true}).empty());
  CHECK(optimizer_problem(Sgd{.lr = -0.1F}) ==
        "optimizer.lr is -0.100000, a number that is finite and >= 0 expected");
  CHECK(optimizer_problem(Sgd{.lr = kNan}) ==
        "optimizer.lr is nan, a number that is finite and >= 0 expected");
  CHECK_FALSE(optimizer_problem(Sgd{.lr = kInfinity}).empty());
  CHECK(optimizer_problem(Sgd{.momentum = 1.5F}) ==
        "optimizer.momentum is 1.500000, a number in [0, 1] expected");
  CHECK_FALSE(optimizer_problem(Sgd{.weight_decay = -1}).empty());
  CHECK(optimizer_problem(Adam{}).empty());
  CHECK(optimizer_problem(Adam{.beta1 = std::nextafter(1.0F, 0.0F)}).empty());
  CHECK(optimizer_problem(Adam{.beta1 = 1}) ==
        "optimizer.beta1 is 1.000000, a number in [0, 1) expected");
  CHECK_FALSE(optimizer_problem(Adam{.beta2 = -0.1F}).empty());
  CHECK_FALSE(optimizer_problem(AdamW{.beta2 = 1}).empty());
  CHECK_FALSE(optimizer_problem(AdamW{.epsilon = kNan}).empty());
  CHECK_FALSE(optimizer_problem(AdamW{.weight_decay = kInfinity}).empty());
}

TEST_CASE("control: schedules can be evaluated at every sample", "[unit]") {
  using Kind = Schedule::Kind;
  CHECK(schedule_problem({.warmup_samples = 10, .warmup_start = 0.5F}).empty());
  CHECK(schedule_problem({.kind = Kind::kStep, .step_samples = 1}).empty());
  CHECK_THAT(schedule_problem({.kind = Kind::kStep}),
             Catch::Contains("schedule.step_samples is 0"));
  for (const Kind kind : {Kind::kLinear, Kind::kCosine}) {
    CHECK(schedule_problem({.kind = kind, .warmup_samples = 9, .total_samples = 10}).empty());
    CHECK(schedule_problem({.kind = kind, .warmup_samples = 10, .total_samples = 10}) ==
          "schedule.total_samples is 10: more than warmup_samples (10) expected");
  }
  CHECK_FALSE(schedule_problem({.warmup_samples = UINT64_MAX}).empty());
  CHECK_FALSE(schedule_problem({.warmup_start = kNan}).empty());
  CHECK_FALSE(schedule_problem({.step_gamma = -1}).empty());
  CHECK_FALSE(schedule_problem({.final_factor = kInfinity}).empty());
  CHECK_FALSE(schedule_problem({.epoch_samples = UINT64_MAX}).empty());
  CHECK_FALSE(schedule_problem({.warmup_power = 0}).empty());
  CHECK_FALSE(schedule_problem({.warmup_power = 65}).empty());
  CHECK_FALSE(schedule_problem({.warmup_momentum = 1}).empty());
  CHECK_FALSE(schedule_problem({.warmup_momentum = kNan}).empty());
}

TEST_CASE("control: groups, modes and chunks are within range", "[unit]") {
  CHECK(problem(with_options({.groups = {{.pattern = "*", .weight_decay = -1}}})).empty());
  CHECK(problem(with_options({.groups = {{}, {.pattern = ""}}})) == "groups[1]: pattern is empty");
  CHECK(problem(with_options({.groups = {{.lr_scale = -1}}})) ==
        "groups[0].lr_scale is -1.000000, a number that is finite and >= 0 expected");
  CHECK(problem(with_options({.groups = {{.weight_decay = kNan}}})) ==
        "groups[0].weight_decay is nan, a number that is finite expected");
  CHECK_FALSE(problem(with_options({.groups = {{.warmup_start = kNan}}})).empty());
  const std::vector<ParameterGroup> many(129);
  CHECK(problem(with_options({.groups = many})) == "129 groups, at most 128 are allowed");
  CHECK(problem(with_options({.mode = Ssp{.staleness = 0}})).empty());
  CHECK(problem(with_options({.mode = Ssp{.staleness = UINT64_MAX}})) ==
        "mode.staleness is 18446744073709551615, a number from 0 to 4294967296 expected");
  for (const std::uint64_t bytes : {0U, 4U, 1U << 20, 64U << 20}) {
    CHECK(problem(with_options({.chunk_bytes = bytes})).empty());
  }
  for (const std::uint64_t bytes : {1U, 3U, (64U << 20) + 1}) {
    CHECK_THAT(problem(with_options({.chunk_bytes = bytes})), Catch::StartsWith("chunk_bytes is "));
  }
}

TEST_CASE("control: joins and leases are within range", "[unit]") {
  CHECK(problem(Join{.index = (1U << 24) - 1}).empty());
  CHECK(problem(Join{.index = 1U << 24}) == "index is 16777216, at most 16777215 is allowed");
  CHECK(problem(Join{.endpoint = "\xFF"}) == "endpoint is not UTF-8");
  CHECK_FALSE(problem(Join{.build = std::string(300, 'b')}).empty());
  CHECK(problem(LeaseRequest{.block = 1}).empty());
  CHECK(problem(LeaseRequest{}) == "block is 0, at least 1 sample expected");
  CHECK(problem(LeaseGrant{.begin = 5, .end = 5}).empty());
  CHECK_FALSE(problem(LeaseGrant{.begin = 5, .end = 4}).empty());
}

TEST_CASE("control: a view is consistent in itself", "[unit]") {
  View view = samples::view();
  view.models[0].placement[1] = 2;
  CHECK(problem(view) == "model 9: a chunk on shard 2 of 2");
  view = samples::view();
  view.models[1].id = 9;
  CHECK(problem(view) == "model 9 stands there twice");
  view = samples::view();
  view.models[1].parameters = {{"", {1}}};
  CHECK(problem(view) == "model 11: parameter 0: name is empty");
  view = samples::view();
  view.shards[1].endpoint = "\xFF";
  CHECK(problem(view) == "endpoint is not UTF-8");
}

TEST_CASE("control: a view has limited numbers of everything, over all its models", "[unit]") {
  View view = samples::view();
  view.workers.resize(ControlLimits::kNodes + 1);
  CHECK(problem(view) == "8193 workers, at most 8192 are allowed");
  view = samples::view();
  view.shards.resize(ControlLimits::kNodes + 1);
  CHECK(problem(view) == "8193 shards, at most 8192 are allowed");
  view = samples::view();
  view.models.resize(ControlLimits::kModels + 1);
  CHECK(problem(view) == "65 models, at most 64 are allowed");
  view = samples::view();
  for (ModelInfo& model : view.models) model.placement.assign(ControlLimits::kChunks / 2 + 1, 0);
  CHECK(problem(view) == "131074 chunks, at most 131072 are allowed");
  view = samples::view();
  for (ModelInfo& model : view.models) {
    model.parameters.clear();
    for (std::size_t i = 0; i <= ControlLimits::kParameters / 2; ++i) {
      model.parameters.push_back({std::to_string(i), {1}, ParameterKind::kTrained});
    }
  }
  CHECK(problem(view) == "65538 parameters, at most 65536 are allowed");
}

}  // namespace
}  // namespace ps::wire
