// Parameter groups by name pattern.
#include "optim/groups.h"

#include <limits>
#include <string>
#include <vector>

#include <ps/error.h>

#include "support/catch.h"

namespace ps::optim {
namespace {

TEST_CASE("groups: patterns fit whole names", "[unit]") {
  CHECK(matches("fc.weight", "fc.weight"));
  CHECK_FALSE(matches("fc.weight", "fc.weight2"));
  CHECK_FALSE(matches("fc.weight", "2fc.weight"));
  CHECK_FALSE(matches("fc.weight", "fc-weight"));
  CHECK(matches("", ""));
  CHECK_FALSE(matches("", "a"));
  CHECK_FALSE(matches("a", ""));
}

TEST_CASE("groups: * stands for any characters or none", "[unit]") {
  CHECK(matches("*", ""));
  CHECK(matches("*", "layer1.0.bn.weight"));
  CHECK(matches("**", "a"));
  CHECK(matches("*.bias", ".bias"));
  CHECK(matches("*.bias", "fc.bias"));
  CHECK_FALSE(matches("*.bias", "fc.bias.x"));
  CHECK(matches("layer*.weight", "layer1.0.weight"));
  CHECK_FALSE(matches("layer*.weight", "layer1.0.bias"));
  CHECK(matches("a*b*c", "abc"));
  CHECK(matches("a*b*c", "a.b.bb.cc.c"));
  CHECK_FALSE(matches("a*b*c", "acb"));
  // The first place that fits is not the last word.
  CHECK(matches("*ab", "aab"));
  CHECK(matches("*abab*x", "ababcababx"));
}

TEST_CASE("groups: ? stands for one character", "[unit]") {
  CHECK(matches("layer?.weight", "layer3.weight"));
  CHECK_FALSE(matches("layer?.weight", "layer.weight"));
  CHECK_FALSE(matches("layer?.weight", "layer10.weight"));
  CHECK(matches("?*", "a"));
  CHECK_FALSE(matches("?*", ""));
  CHECK(matches("*?b", "aab"));
}

TEST_CASE("groups: a hard pattern does not take exponential time", "[unit]") {
  const std::string name(2000, 'a');
  CHECK_FALSE(matches("*a*a*a*a*a*a*a*a*a*a*a*a*b", name));
}

TEST_CASE("groups: the last match wins", "[unit]") {
  ModelOptions options;
  options.optimizer = Sgd{.weight_decay = 0.01F};
  options.schedule.warmup_start = 0.125F;
  options.groups = {{.pattern = "*", .lr_scale = 0.5F},
                    {.pattern = "*.bias", .weight_decay = 0.0F, .warmup_start = 10.0F},
                    {.pattern = "fc.*", .lr_scale = 2.0F, .weight_decay = 0.25F}};
  const std::vector<std::string> names{"conv.weight", "conv.bias", "fc.bias"};

  const ResolvedGroups resolved = resolve_groups(options, names);
  REQUIRE(resolved.rates.size() == 3);
  CHECK(resolved.rates[0].lr_scale == 0.5F);
  CHECK(resolved.rates[0].weight_decay == 0.01F);
  CHECK(resolved.rates[1].lr_scale == 1.0F);
  CHECK(resolved.rates[1].weight_decay == 0.0F);
  CHECK(resolved.rates[2].lr_scale == 2.0F);
  CHECK(resolved.rates[2].weight_decay == 0.25F);
  CHECK(resolved.rates[0].warmup_start == 0.125F);
  CHECK(resolved.rates[1].warmup_start == 10.0F);
  CHECK(resolved.rates[2].warmup_start == 0.125F);
  CHECK(resolved.unmatched.empty());
}

TEST_CASE("groups: without a match the optimizer's own decay holds", "[unit]") {
  ModelOptions options;
  const auto [optimizer, decay] = GENERATE(table<Optimizer, float>({
      {Sgd{.weight_decay = 0.5F}, 0.5F},
      {Adam{.weight_decay = 0.25F}, 0.25F},
      {AdamW{}, 0.01F},
  }));
  options.optimizer = optimizer;
  options.groups = {{.pattern = "encoder.*", .lr_scale = 0.0F}};

  const ResolvedGroups resolved = resolve_groups(options, std::vector<std::string>{"fc.weight"});
  CHECK(resolved.rates.at(0).lr_scale == 1.0F);
  CHECK(resolved.rates.at(0).weight_decay == decay);
  CHECK(resolved.unmatched == std::vector<std::string>{"encoder.*"});
}

TEST_CASE("groups: what means nothing is refused by the group's name", "[unit]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const ParameterGroup group = GENERATE_COPY(values<ParameterGroup>({
      {.pattern = "fc.*", .lr_scale = -1.0F},
      {.pattern = "fc.*", .lr_scale = nan},
      {.pattern = "fc.*", .weight_decay = nan},
      {.pattern = "fc.*", .warmup_start = nan},
  }));
  ModelOptions options;
  options.groups = {group};
  CHECK_THROWS_WITH(resolve_groups(options, {}), Catch::Contains("fc.*"));
}

}  // namespace
}  // namespace ps::optim
