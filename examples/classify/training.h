// Training and testing, as one worker of a job sees it.
#pragma once

#include <ps/ps.hpp>

#include "options.h"

namespace classify {

// Both return the process's exit code and print the JSON line on rank 0. They throw ps::Error.
int train(ps::Session& session, const Options& options);
int evaluate_weights(ps::Session& session, const Options& options);

}  // namespace classify
