// One worker's part in a run of sync-vs-async: real gradients of a small network, each of which
// takes as long as the run says, most of it by waiting, so that few cores carry many workers.
#pragma once

#include <string>

#include <ps/session.h>

#include "run.h"

namespace psbench {

// Trains until the held-out target or the time is reached, which rank 0 finds out and tells by the
// file `sign`; ends with session.finish(). Steps are emulated from the data's first touch on.
WorkerLog train(ps::Session& session, const RunSpec& spec, const std::string& sign);

}  // namespace psbench
