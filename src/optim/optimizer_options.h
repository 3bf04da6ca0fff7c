// Which of ModelOptions' fields about updates mean something. Pure.
#pragma once

#include <ps/options.h>

namespace ps::optim {

// Throws ps::Error(kInvalidArgument), naming the field, for options that mean nothing.
void check_update_options(const ModelOptions& options);

// Whether gradients count for less the later they come.
bool is_staleness_aware(const Consistency& mode);

}  // namespace ps::optim
