// What each command of detect does, from its options to its exit code. Throw ps::Error.
#pragma once

#include <ps/session.h>

#include "options.h"

namespace detect {

int run_train(ps::Session& session, const Options& options);
int run_val(ps::Session& session, const Options& options);
int run_predict(const Options& options);
int run_export(const Options& options);
// Opens a session for each trial.
int run_tune(const Options& options, int argc, char** argv);
int run_make_data(const Options& options);
int run_models(const Options& options);

}  // namespace detect
