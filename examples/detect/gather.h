// Numbers of all workers, on all workers.
#pragma once

#include <string>
#include <vector>

#include <ps/session.h>

namespace detect {

// The workers' numbers one after another, by rank; every worker calls it and gets the same.
std::vector<double> gather(ps::Session& session, const std::vector<double>& mine);

// Rank 0's text (bytes), on all workers.
std::string from_rank_0(ps::Session& session, const std::string& text);

}  // namespace detect
