// Goes through everything that can happen to a tiny job: depth first over the choices of a World.
// A world cannot be copied, so each branch but the first starts a new one and repeats the choices
// up to there. Of the interleavings that differ only in the order of independent choices it takes
// one: another order is tried only where two deliveries to one node race (dynamic partial order
// reduction, Flanagan and Godefroid, 2005, with sleep sets).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "explore/world.h"

namespace ps::explore {

struct Findings {
  bool exhaustive = false;          // nothing was left out: no bound was met, and nothing wrong
  std::string wrong;                // the first thing, with all that led to it
  std::uint64_t interleavings = 0;  // to the job's end, no two of them equivalent
  std::uint64_t choices = 0;        // taken in all of them, repetitions not counted
  std::map<std::string, std::uint64_t> outcomes;  // with the interleavings that lead to them
  double took_s = 0;
};

// The verdict on a world that is over; empty if it is right.
using Judge = std::string (*)(const Job&, World&);

// Stops at the first thing that is wrong, and after `most` interleavings.
Findings explore(const Job& job, Judge judge, std::uint64_t most);

}  // namespace ps::explore
