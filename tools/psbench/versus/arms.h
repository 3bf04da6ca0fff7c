// The ways to train that sync-vs-async compares, and what is tuned for each.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <ps/options.h>

namespace psbench {

struct Arm {
  std::string key;   // on the command line
  std::string name;  // in tables
  ps::Consistency mode;
  ps::Update update = ps::Update::kServer;
  bool alone = false;        // one worker only
  bool large_batch = false;  // which does as much a step as all workers together, one after another
};

// In the order of the report. Alone come first: every comparison starts with them.
const std::vector<Arm>& all_arms();
// Throws ps::Error(kInvalidArgument) naming those that there are.
const Arm& arm_of(const std::string& key);

struct Trial {
  float lr = 0.0F;
  float momentum = 0.0F;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Trial, lr, momentum)
// The same for every arm: the first of `count` <= 12 tries, promising ones first.
std::vector<Trial> trials(std::uint32_t count);

}  // namespace psbench
