// What suppress() asks of its options, for all who do as it does.
#pragma once

#include <ps/nn/detection.h>

namespace ps::nn {

// Throws kInvalidArgument in suppress()'s name.
void check_nms_options(const NmsOptions& options, std::int64_t classes);

}  // namespace ps::nn
