#include "optim/modes.h"

#include <ps/error.h>

#include "support/catch.h"

namespace optim = ps::optim;
using ps::ParameterKind;

TEST_CASE("modes: what the servers take a parameter for", "[unit][optim]") {
  using K = ParameterKind;
  const auto kinds = [](const ps::ModelOptions& options) {
    std::vector<K> result;
    for (const K kind : {K::kTrained, K::kAverage, K::kAssign, K::kAdd})
      result.push_back(optim::kind_on_servers(options, kind));
    return result;
  };
  const std::vector<K> same{K::kTrained, K::kAverage, K::kAssign, K::kAdd};
  const std::vector<K> averaged{K::kAverage, K::kAverage, K::kAssign, K::kAdd};
  CHECK(kinds({.mode = ps::Sync{}}) == same);
  CHECK(kinds({.mode = ps::Async{}}) == same);
  CHECK(kinds({.mode = ps::Ssp{}}) == same);
  CHECK(kinds({.mode = ps::LocalSgd{}}) == averaged);
  CHECK(kinds({.update = ps::Update::kWorker}) == averaged);
  CHECK(kinds({.mode = ps::Easgd{}}) == std::vector<K>(4, K::kAdd));
}

TEST_CASE("modes: rounds, and whose optimizer it is", "[unit][optim]") {
  CHECK(optim::has_rounds(ps::Sync{}));
  CHECK(optim::has_rounds(ps::LocalSgd{}));
  CHECK_FALSE(optim::has_rounds(ps::Async{}));
  CHECK_FALSE(optim::has_rounds(ps::Ssp{}));
  CHECK_FALSE(optim::has_rounds(ps::Easgd{}));
  CHECK_FALSE(optim::updates_on_workers({}));
  CHECK(optim::updates_on_workers({.mode = ps::LocalSgd{}}));
  CHECK(optim::updates_on_workers({.mode = ps::Easgd{}}));
  CHECK(optim::updates_on_workers({.update = ps::Update::kWorker}));
  CHECK(optim::elastic_rate({}, 3) == 0.9F / 3.0F);
  CHECK(optim::elastic_rate({.alpha = 0.5F}, 3) == 0.5F);
}

TEST_CASE("modes: settings that mean nothing together are refused, saying which", "[unit][optim]") {
  const auto refused = [](const ps::ModelOptions& options, const std::string& words) {
    CHECK_THROWS_WITH(optim::check_mode(options, 4), Catch::Contains(words));
  };
  const auto worker = ps::Update::kWorker;
  refused({.mode = ps::Async{}, .update = worker}, "sync, which keeps the workers' weights equal");
  refused({.mode = ps::LocalSgd{}, .update = worker}, "got local");
  refused({.mode = ps::Ssp{}, .update = ps::Update::kAllReduce}, "update = allreduce needs");
  refused({.mode = ps::Sync{.backup_workers = 1}, .update = worker}, "backup_workers");
  refused({.reduce = ps::Reduce::kSum, .update = worker}, "reduce = mean");
  refused({.update = worker, .ema = {.decay = 0.5F}}, "ema.decay");
  refused({.mode = ps::LocalSgd{.steps = 0}}, "steps");
  refused({.mode = ps::Easgd{.period = 0}}, "period");
  refused({.mode = ps::Easgd{.alpha = 1.5F}}, "alpha");
  CHECK_NOTHROW(optim::check_mode({.update = worker}, 4));
  CHECK_NOTHROW(optim::check_mode({.mode = ps::Sync{.backup_workers = 1}}, 4));
  const ps::Compression fp16{.push = ps::Compression::Push::kFp16};
  CHECK_NOTHROW(optim::check_mode({.mode = ps::Async{}, .compression = fp16}, 4));
  const std::string words = "compression needs gradients that travel to servers";
  refused({.mode = ps::LocalSgd{}, .compression = fp16}, words);
  refused({.mode = ps::Easgd{}, .compression = {.pull = ps::Compression::Pull::kBf16}}, words);
  refused({.update = worker, .compression = fp16}, words);
  refused({.compression = {.top = 0.0F}}, "compression.top must be above 0");
}
