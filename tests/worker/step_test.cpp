#include "worker/step.h"

#include "base/random.h"
#include "support/catch.h"

namespace ps::worker {
namespace {

// Two shards. Buckets 0 and 1 belong to shard 0, bucket 2 to shard 1. Parameter 0 lies in buckets
// 0 and 2, parameter 1 in 1.
Plan plan() {
  Plan plan;
  plan.buckets = {{.shard = 0, .chunks = {0}, .parameters = {0}, .bytes = 4},
                  {.shard = 0, .chunks = {1}, .parameters = {1}, .bytes = 4},
                  {.shard = 1, .chunks = {2}, .parameters = {0}, .bytes = 4}};
  plan.first_chunk = {0, 2, 3};
  plan.buckets_of_parameter = {{0, 2}, {1}};
  plan.buckets_of_shard = {2, 1};
  return plan;
}

using Buckets = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("step: buckets are complete when all their parameters are settled", "[unit]") {
  const Plan p = plan();
  Step step;
  step.begin(p, {});
  CHECK(step.settle(p, 0, true) == Buckets{0, 2});
  CHECK(step.settle(p, 0, true).empty());  // saying it twice changes nothing
  CHECK(step.settle(p, 0, false).empty());
  CHECK(step.touched(0));
  CHECK(step.end(p) == Buckets{1});
}

TEST_CASE("step: the last bucket of a shard leaves only after the end", "[unit]") {
  const Plan p = plan();
  Step step;
  step.begin(p, {});
  step.settle(p, 0, true);
  CHECK(step.may_leave(p, 0));
  CHECK_FALSE(step.leaves(p, 0));
  CHECK_FALSE(step.may_leave(p, 1));
  CHECK_FALSE(step.may_leave(p, 2));
  CHECK_FALSE(step.all_left());
  step.end(p);
  CHECK(step.may_leave(p, 1));
  CHECK(step.leaves(p, 1));
  CHECK_FALSE(step.all_left());
  CHECK(step.leaves(p, 2));
  CHECK(step.all_left());
}

TEST_CASE("step: what is skipped, or of a step of weight 0, is not touched", "[unit]") {
  const Plan p = plan();
  Step step;
  step.begin(p, {});
  step.settle(p, 1, false);
  step.end(p);
  CHECK(step.touched(0));
  CHECK_FALSE(step.touched(1));
  step.begin(p, {.verb = Verb::kPush, .weight = 0, .samples = 3});
  step.end(p);
  CHECK_FALSE(step.touched(0));
  CHECK(step.active());
  step.close();
  CHECK_FALSE(step.active());
}

TEST_CASE("step: begins anew", "[unit]") {
  const Plan p = plan();
  Step step;
  step.begin(p, {});
  step.end(p);
  for (const std::uint32_t bucket : {0U, 1U, 2U}) step.leaves(p, bucket);
  step.result.late = 3;
  step.begin(p, {});
  CHECK(step.result.late == 0);
  CHECK_FALSE(step.all_left());
  CHECK_FALSE(step.may_leave(p, 2));
  CHECK(step.end(p).size() == 3);
}

}  // namespace ps::worker
