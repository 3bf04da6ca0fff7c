// Flags of the commands with many.
#pragma once

#include <CLI/CLI.hpp>

#include "options.h"

namespace detect {

void declare_train(CLI::App& app, TrainOptions& options);
void declare_val(CLI::App& app, ValOptions& options);
void declare_predict(CLI::App& app, PredictOptions& options);

}  // namespace detect
