// Hundreds of jobs with faults, each from a seed. A failure prints its seed; to see it happen,
// message by message: PS_SIM_SEED=<seed> ps_sim_tests "[replay]".
#include "sim/swarm.h"

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>

#include "support/catch.h"

namespace ps::sim {
namespace {

struct Tally {
  net::SimFaultCounts faults;
  std::array<std::uint64_t, Strike::kKinds> strikes{};
  std::uint64_t messages = 0;
  double simulated_s = 0;

  void add(const Result& result) {
    const net::SimFaultCounts& more = result.faults;
    faults.dropped += more.dropped;
    faults.duplicated += more.duplicated;
    faults.reordered += more.reordered;
    faults.flipped += more.flipped;
    faults.reset += more.reset;
    faults.partitioned += more.partitioned;
    faults.lost += more.lost;
    for (std::size_t i = 0; i < strikes.size(); ++i) strikes[i] += result.strikes[i];
    messages += result.messages;
    simulated_s += seconds(result.simulated);
  }

  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> named() const {
    return {{"dropped", faults.dropped},     {"duplicated", faults.duplicated},
            {"reordered", faults.reordered}, {"flipped", faults.flipped},
            {"reset", faults.reset},         {"partitioned", faults.partitioned},
            {"lost in flight", faults.lost}, {"crashes", strikes[0]},
            {"freezes", strikes[1]},         {"rivals", strikes[2]},
            {"partitions", strikes[3]},      {"one-way partitions", strikes[4]},
            {"reset strikes", strikes[5]}};
  }
};

Tally run_seeds(std::uint64_t first, std::uint64_t count) {
  Tally tally;
  const auto began = std::chrono::steady_clock::now();
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Scenario scenario = draw_scenario(seed);
    const Result result = run_scenario(scenario);
    tally.add(result);
    if (!result.wrong.empty()) {
      INFO("replay with PS_SIM_SEED=" << seed << " ps_sim_tests \"[replay]\"");
      std::cout << "seed " << seed << ": " << result.wrong << "\n  in: " << describe(scenario)
                << '\n';
      FAIL_CHECK(result.wrong);
    }
    if (seed % 50 == 0) {
      INFO("seed " << seed << " runs the same twice");
      CHECK(run_seed(seed).trace_hash == result.trace_hash);
    }
  }
  const double took_s = seconds(std::chrono::steady_clock::now() - began);
  std::cout << "seeds " << first << " to " << first + count - 1 << ": " << tally.messages
            << " messages, " << tally.simulated_s << " s simulated in " << took_s << " s ("
            << took_s * 1e3 / static_cast<double>(count) << " ms a seed);";
  for (const auto& [name, number] : tally.named()) std::cout << ' ' << name << ' ' << number;
  std::cout << std::endl;
  return tally;
}

void require_all_faults(const Tally& tally) {
  for (const auto& [name, number] : tally.named()) {
    INFO(name);
    CHECK(number > 0);
  }
}

}  // namespace

TEST_CASE("sim: jobs come out right whatever befalls them, seeds 0 to 124", "[sim]") {
  require_all_faults(run_seeds(0, 125));
}

TEST_CASE("sim: jobs come out right whatever befalls them, seeds 125 to 249", "[sim]") {
  require_all_faults(run_seeds(125, 125));
}

TEST_CASE("sim: jobs come out right whatever befalls them, seeds 250 to 374", "[sim]") {
  require_all_faults(run_seeds(250, 125));
}

TEST_CASE("sim: jobs come out right whatever befalls them, seeds 375 to 499", "[sim]") {
  require_all_faults(run_seeds(375, 125));
}

TEST_CASE("sim: jobs come out right whatever befalls them, fresh seeds", "[sim]") {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto first =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count()) *
      1000;
  run_seeds(first, 100);
}

// Hidden: a command, not a test.
TEST_CASE("sim: one seed, message by message", "[.][replay]") {
  const char* const first = std::getenv("PS_SIM_SEED");
  const char* const count = std::getenv("PS_SIM_COUNT");
  REQUIRE(first != nullptr);
  if (count != nullptr) {
    run_seeds(std::stoull(first), std::stoull(count));
    return;
  }
  Scenario scenario = draw_scenario(std::stoull(first));
  scenario.job.verbose = true;
  std::cerr << describe(scenario) << '\n';
  const Result result = run_scenario(scenario);
  CHECK(result.wrong == "");
}

}  // namespace ps::sim
