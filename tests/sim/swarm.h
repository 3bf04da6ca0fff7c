// One seed, one job: the seed draws the cluster, the mode, the model, which faults there are and
// how often, and which workers crash, freeze or meet a rival of their own rank. After a while all
// faults end and the job has to finish. Whether it did right is judged by oracles.h.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "net/sim_network.h"
#include "support/simulator.h"

namespace ps::sim {

// Something that befalls a node or a pair of nodes at one moment.
struct Strike {
  enum class Kind {
    kCrash,      // of a worker, which is started again `lasts` later
    kFreeze,     // of a worker, for so long
    kRival,      // a worker freezes, and another process takes its rank before it thaws
    kPartition,  // between two nodes
    kOneWay,     // likewise, in one direction
    kReset,      // of the connections between two nodes
  };
  static constexpr std::size_t kKinds = 6;
  Kind kind = Kind::kCrash;
  Duration after{0};  // from the start of the job
  Duration lasts{0};
  Duration rival_after{0};  // kRival: from the freeze
  std::uint32_t rank = 0;
  net::SimNode a = 0;  // partitions and resets between other nodes; rank's node if a == b
  net::SimNode b = 0;
};

struct Scenario {
  JobOptions job;
  Program program;
  net::SimFaults faults;
  Duration heal_after{0};
  std::vector<Strike> strikes;
  Duration limit{0};  // from the start: by then the job is over
};

// Lives that a scenario can have at most; gradients of the counter oracle have room for so many.
inline constexpr std::uint32_t kMaxLives = 16;

Scenario draw_scenario(std::uint64_t seed);
std::string describe(const Scenario& scenario);

struct Result {
  std::string wrong;  // what an oracle found; empty if nothing
  std::uint64_t trace_hash = 0;
  std::uint64_t messages = 0;
  Duration simulated{0};
  net::SimFaultCounts faults = {};
  std::array<std::uint64_t, Strike::kKinds> strikes{};
};

Result run_scenario(const Scenario& scenario);
inline Result run_seed(std::uint64_t seed) {
  return run_scenario(draw_scenario(seed));
}

}  // namespace ps::sim
