// What psbench can measure: one file a command.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <functional>

namespace psbench {

struct Command {
  CLI::App* app;             // its subcommand, declared with its options
  std::function<int()> run;  // with the options as parsed; returns the exit code
};

Command codec_command(CLI::App& app);
Command layers_command(CLI::App& app);
Command pushpull_command(CLI::App& app);
Command roofline_command(CLI::App& app);
Command step_command(CLI::App& app);
Command sync_vs_async_command(CLI::App& app);
Command update_command(CLI::App& app);

// What the commands that move bytes have in common.
struct SizeOptions {
  std::size_t bytes;
  double seconds;
  bool json = false;
};
void declare(CLI::App& command, SizeOptions& options, const char* what_bytes_are);

}  // namespace psbench
