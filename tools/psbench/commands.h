// What psbench can measure: one file a command.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace psbench {

struct Command {
  CLI::App* app;             // its subcommand, declared with its options
  std::function<int()> run;  // with the options as parsed; returns the exit code
};

Command layers_command(CLI::App& app);
Command roofline_command(CLI::App& app);
Command step_command(CLI::App& app);

}  // namespace psbench
