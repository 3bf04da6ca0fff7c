// `pssim scale`: its options and what it prints.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace pssim {

struct Command {
  CLI::App* app;             // its subcommand, declared with its options
  std::function<int()> run;  // with the options as parsed; returns the exit code
};

Command scale_command(CLI::App& app);

}  // namespace pssim
