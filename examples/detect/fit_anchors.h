// Anchors for the data at hand.
#pragma once

#include <ps/session.h>

#include "setup.h"

namespace detect {

// Replaces the anchors of the network's table where too few of the training boxes have one that
// fits. Every worker calls it; all get rank 0's.
void fit_anchors(ps::Session& session, Setup& setup);

}  // namespace detect
