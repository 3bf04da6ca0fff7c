// psbench: measures ps on this machine beside the machine's own limits, taken in the same run.
#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <exception>

#include "commands.h"

int main(int argc, char** argv) {
  CLI::App app("Measures ps on this machine, beside the machine's own limits in the same run.");
  app.require_subcommand(1);
  app.footer(
      "With --json the last line of output is JSON with goodput, limit and ratio.\n\n"
      "Examples:\n"
      "  psbench layers --model yolov5n --size 320 --batch 4");
  const std::array commands{psbench::layers_command(app), psbench::roofline_command(app),
                            psbench::step_command(app)};
  CLI11_PARSE(app, argc, argv);
  try {
    for (const psbench::Command& command : commands) {
      if (command.app->parsed()) return command.run();
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "psbench: %s\n", error.what());
  }
  return 1;
}
