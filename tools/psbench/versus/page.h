// The report of sync-vs-async: one page of HTML with its plots in it, and the same in words.
#pragma once

#include <string>
#include <vector>

#include "compare.h"

namespace psbench {

// A sentence for each straggler that ran, and one on noise and signal where that was measured.
struct Finding {
  std::string straggler;  // empty: of all
  std::string text;
};
std::vector<Finding> findings(const VersusOptions& options, const Comparison& comparison);

// Lists every run and every trial. No script, nothing to download.
std::string page(const VersusOptions& options, const Comparison& comparison);

}  // namespace psbench
