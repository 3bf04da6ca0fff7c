#include "server/round.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "base/random.h"
#include "support/catch.h"

namespace ps::server {
namespace {

constexpr std::size_t kElements = 37;

Buffer random_values(Random& random) {
  const Memory memory = Memory::allocate(kElements * sizeof(float));
  for (float& value : memory.as<float>()) value = static_cast<float>(random.normal());
  return memory.buffer();
}

// What a commit would do to the weights.
std::vector<float> commit(const Round& round, const optim::Optimizer& optimizer) {
  std::vector<float> old_weights(kElements, 0.25F);
  std::vector<float> weights(kElements);
  auto state = optimizer.make_state(kElements);
  const auto contributions = round.contributions();
  optimizer.apply({},
                  {.old_weights = old_weights,
                   .new_weights = weights,
                   .folded = round.folded(),
                   .folded_weight = round.folded_weight(),
                   .contributions = contributions},
                  state);
  return weights;
}

}  // namespace

TEST_CASE("round: any order of arrival and any folding give the same bits", "[unit]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    BlockPool pool;
    const auto workers = static_cast<std::uint32_t>(1 + random.below(7));
    ModelOptions options;
    options.optimizer = Sgd{.lr = 0.1F, .momentum = 0.9F};
    options.reduce = random.chance(0.5) ? Reduce::kMean : Reduce::kSum;
    const optim::Optimizer optimizer(options, workers);
    std::vector<Buffer> values;
    std::vector<double> weights;
    std::vector<std::uint32_t> expected;
    for (std::uint32_t rank = 0; rank < workers; ++rank) {
      const bool idle = random.chance(0.2);
      values.push_back(idle ? Buffer() : random_values(random));
      weights.push_back(idle ? 0
                             : optimizer.weight_of(ParameterKind::kTrained,
                                                   static_cast<double>(1 + random.below(50))));
      if (!idle) expected.push_back(rank);
    }
    std::optional<std::vector<float>> first;
    for (int variant = 0; variant < 8; ++variant) {
      std::vector<std::uint32_t> order(workers);
      std::iota(order.begin(), order.end(), 0U);
      for (std::uint32_t i = workers; i-- > 1;) std::swap(order[i], order[random.below(i + 1)]);
      Round round;
      for (const std::uint32_t rank : order) {
        CHECK_FALSE(round.complete(workers));
        CHECK_FALSE(round.has(rank));
        REQUIRE(round.offer(rank, weights[rank], values[rank]));
        CHECK(round.has(rank));
        if (random.chance(variant * 0.15)) round.fold(pool, kElements);
        CHECK_FALSE(round.offer(rank, 1, values[rank]));  // once, folded or not
      }
      REQUIRE(round.complete(workers));
      CHECK(round.contributors() == expected);
      const auto result = commit(round, optimizer);
      if (!first) first = result;
      REQUIRE(std::memcmp(result.data(), first->data(), kElements * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("round: folding takes the prefix of ranks that is there and frees its memory", "[unit]") {
  Random random(1);
  BlockPool pool;
  Round round;
  const Buffer values = random_values(random);
  CHECK(round.awaited() == 0);
  round.offer(2, 1, values);
  round.offer(0, 1, values);
  CHECK(round.awaited() == 1);
  CHECK(round.staged_bytes() == 2 * values.size());
  round.fold(pool, kElements);
  CHECK(round.awaited() == 1);
  CHECK(round.staged_bytes() == values.size());
  CHECK(round.folded_weight() == 1);
  CHECK(round.folded().size() == kElements);
  CHECK(round.contributions().size() == 1);
  round.offer(1, 1, values);
  round.fold(pool, kElements);
  CHECK(round.awaited() == 3);
  CHECK(round.staged_bytes() == 0);
  CHECK(round.folded_weight() == 3);
  round.reset();
  CHECK(round.awaited() == 0);
  CHECK(round.folded().empty());
  CHECK(round.contributors().empty());
}

TEST_CASE("round: a contribution of nothing completes it and adds nothing", "[unit]") {
  Round round;
  CHECK(round.offer(0, 5, {}));
  CHECK(round.complete(1));
  CHECK(round.contributions().empty());
  CHECK(round.contributors().empty());
}

TEST_CASE("round: values may start at any byte", "[unit]") {
  Random random(2);
  BlockPool pool;
  const optim::Optimizer optimizer(ModelOptions{}, 2);
  const Buffer aligned = random_values(random);
  const Memory bytes = Memory::allocate(aligned.size() + 3);
  std::memcpy(bytes.bytes().data() + 3, aligned.data(), aligned.size());
  const Buffer shifted = bytes.buffer(3, aligned.size());
  for (const bool folds : {false, true}) {
    Round one;
    Round other;
    for (std::uint32_t rank = 0; rank < 2; ++rank) {
      one.offer(rank, 2, aligned);
      other.offer(rank, 2, shifted);
      if (folds) other.fold(pool, kElements);
    }
    CHECK(commit(one, optimizer) == commit(other, optimizer));
  }
}

}  // namespace ps::server
