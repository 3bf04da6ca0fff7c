#include "ops/config_support.h"
#include "support/catch.h"

namespace ps::ops {
namespace {

ModelOptions applied(const std::vector<std::string>& flags, ModelOptions options) {
  apply(test::load({.arguments = flags}).config, options);
  return options;
}

std::string apply_error(const std::vector<std::string>& flags, const ModelOptions& options) {
  try {
    applied(flags, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST_CASE("config apply: the program's choices stand where no key was set", "[unit]") {
  const ModelOptions program{.mode = Ssp{.staleness = 7, .staleness_aware = true},
                             .optimizer = Sgd{.lr = 0.5F, .momentum = 0.9F},
                             .schedule = {.kind = Schedule::Kind::kStep, .step_samples = 9},
                             .groups = {{.pattern = "a"}},
                             .reduce = Reduce::kSum,
                             .chunk_bytes = 65536};
  const ModelOptions options = applied({}, program);
  CHECK(std::get<Ssp>(options.mode).staleness == 7);
  CHECK(std::get<Ssp>(options.mode).staleness_aware);
  CHECK(std::get<Sgd>(options.optimizer).lr == 0.5F);
  CHECK(std::get<Sgd>(options.optimizer).momentum == 0.9F);
  CHECK(options.schedule.kind == Schedule::Kind::kStep);
  CHECK(options.schedule.step_samples == 9);
  CHECK(options.groups.size() == 1);
  CHECK(options.reduce == Reduce::kSum);
  CHECK(options.chunk_bytes == 65536);
}

TEST_CASE("config apply: only the keys that were set change", "[unit]") {
  const ModelOptions options = applied(
      {"--optimizer.lr=0.25", "--consistency.staleness=1", "--consistency.reduce=mean",
       "--optimizer.schedule=linear", "--optimizer.total_samples=100", "--transport.chunk_bytes=0"},
      {.mode = Ssp{.staleness = 7, .staleness_aware = true},
       .optimizer = Sgd{.lr = 0.5F, .momentum = 0.9F},
       .schedule = {.warmup_samples = 5},
       .reduce = Reduce::kSum,
       .chunk_bytes = 65536});
  CHECK(std::get<Ssp>(options.mode).staleness == 1);
  CHECK(std::get<Ssp>(options.mode).staleness_aware);
  CHECK(std::get<Sgd>(options.optimizer).lr == 0.25F);
  CHECK(std::get<Sgd>(options.optimizer).momentum == 0.9F);
  CHECK(options.schedule.kind == Schedule::Kind::kLinear);
  CHECK(options.schedule.total_samples == 100);
  CHECK(options.schedule.warmup_samples == 5);
  CHECK(options.reduce == Reduce::kMean);
  CHECK(options.chunk_bytes == 0);
}

TEST_CASE("config apply: compression", "[unit]") {
  const ModelOptions program{
      .compression = {Compression::Push::kFp16, Compression::Pull::kFp16, 0.5F}};
  CHECK(applied({}, program).compression == program.compression);
  CHECK(applied({"--compression.push=topk", "--compression.top=0.25"}, program).compression ==
        Compression{Compression::Push::kTopK, Compression::Pull::kFp16, 0.25F});
  CHECK(applied({"--compression.push=none", "--compression.pull=bf16"}, program).compression ==
        Compression{Compression::Push::kNone, Compression::Pull::kBf16, 0.5F});
  CHECK(applied({"--compression.push=sign", "--compression.pull=none"}, program).compression ==
        Compression{Compression::Push::kSign, Compression::Pull::kNone, 0.5F});
}

TEST_CASE("config apply: another mode or optimizer starts from its own defaults", "[unit]") {
  const ModelOptions program{.mode = Async{.staleness_aware = true}, .optimizer = Sgd{.lr = 0.5F}};
  const ModelOptions options = applied(
      {"--consistency.mode=ssp", "--optimizer.name=adamw", "--optimizer.beta1=0.5"}, program);
  CHECK(std::get<Ssp>(options.mode).staleness == Ssp{}.staleness);
  CHECK_FALSE(std::get<Ssp>(options.mode).staleness_aware);
  CHECK(std::get<AdamW>(options.optimizer).lr == AdamW{}.lr);
  CHECK(std::get<AdamW>(options.optimizer).beta1 == 0.5F);
  CHECK(std::get<AdamW>(options.optimizer).weight_decay == AdamW{}.weight_decay);
}

TEST_CASE("config apply: all-reduce is sync with another way to reduce", "[unit]") {
  const ModelOptions options = applied({"--consistency.mode=allreduce"}, {.mode = Async{}});
  CHECK(std::holds_alternative<Sync>(options.mode));
  CHECK(options.update == Update::kAllReduce);
  CHECK(applied({"--optimizer.update=allreduce"}, {}).update == Update::kAllReduce);
}

TEST_CASE("config apply: the same mode or optimizer keeps the program's values", "[unit]") {
  const ModelOptions program{.mode = Ssp{.staleness = 9}, .optimizer = Adam{.lr = 0.5F}};
  const ModelOptions options =
      applied({"--consistency.mode=ssp", "--optimizer.name=adam"}, program);
  CHECK(std::get<Ssp>(options.mode).staleness == 9);
  CHECK(std::get<Adam>(options.optimizer).lr == 0.5F);
}

TEST_CASE("config apply: staleness keys are passed over where they mean nothing", "[unit]") {
  const ModelOptions options = applied(
      {"--consistency.mode=sync", "--consistency.staleness=4", "--consistency.staleness_aware"},
      {});
  CHECK(std::holds_alternative<Sync>(options.mode));
}

TEST_CASE("config apply: an optimizer key that the optimizer does not have is an error", "[unit]") {
  CHECK(apply_error({"--optimizer.momentum=0.9"}, {.optimizer = Adam{}}) ==
        "flag --optimizer.momentum: optimizer.momentum means nothing to the optimizer in force, "
        "adam; remove it or set optimizer.name to one of sgd, rmsprop, lars");
  CHECK(apply_error({"--optimizer.beta1=0.9"}, {.optimizer = Sgd{}}) ==
        "flag --optimizer.beta1: optimizer.beta1 means nothing to the optimizer in force, sgd; "
        "remove it or set optimizer.name to one of adam, adamw, lamb");
  CHECK(apply_error({"--optimizer.momentum=0.9", "--optimizer.name=sgd"}, {.optimizer = Adam{}}) ==
        "none");
}

TEST_CASE("config apply: groups come after the program's", "[unit]") {
  ModelOptions options{.groups = {{.pattern = "a"}}};
  apply(test::load({.file = "[[optimizer.group]]\npattern = 'b'\n"}).config, options);
  REQUIRE(options.groups.size() == 2);
  CHECK(options.groups[0].pattern == "a");
  CHECK(options.groups[1].pattern == "b");
}

}  // namespace
}  // namespace ps::ops
