// psbench: measures ps on this machine beside the machine's own limits, taken in the same run.
#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <exception>

#include "commands.h"

namespace psbench {
namespace {

constexpr const char* kFooter =
    R"(What is measured, and what limits it:
  pushpull  A model's whole step over the processes of a job: gradients pushed, SGD on the servers,
            weights pulled. Its limit is bytes sent there and back in frames of the same size
            without ps: through a socket or ZeroMQ, through shared memory, or copied by memcpy.
            The weights at the end must be those that the steps give, or it fails.
  update    The servers' update of one chunk by N workers' gradients. Its limit is y += x: both are
            bound by memory, so bytes per second compare.
  sync-vs-async
            How soon training is at a held-out accuracy, in every mode, where workers straggle.
            Real processes with real gradients, whose steps take drawn times. The goodput is async's
            samples a second against the last of --stragglers; its limit what the drawn times allow.
  codec     Gradients encoded and decoded. Its limit is memcpy of the same floats.
  layers    A detector's training step on one core. Its limit is a large matrix product.
  step      The same on a GPU. Its limit is the bytes and operations at the device's rates.
  roofline  That limit on paper, without a GPU.

Work and limit are measured in turns within one run, and medians are compared: machines are noisy.
goodput is what was reached, limit what the machine allows, ratio the first by the second. With
--json they are in the last line of output, one line of JSON.

Examples:
  psbench pushpull --transport shm --json
  psbench pushpull --bytes 4KiB --transport tcp     (latency)
  psbench pushpull --workers 2 --servers 2
  psbench update --rule all --in-place
  psbench sync-vs-async --page report.html --stragglers none,permanent
  psbench layers --model yolov5n --size 320 --batch 4)";

}  // namespace

void declare(CLI::App& command, SizeOptions& options, const char* what_bytes_are) {
  command.add_option("--bytes", options.bytes, what_bytes_are)
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::size_t{64}, std::size_t{1} << 36))
      ->capture_default_str();
  command.add_option("--seconds", options.seconds, "How long to measure")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_flag("--json", options.json,
                   "A last line of JSON: goodput, limit, their ratio, and what is behind them");
}

}  // namespace psbench

int main(int argc, char** argv) {
  CLI::App app("Measures ps on this machine, beside the machine's own limits in the same run.");
  app.require_subcommand(1);
  app.footer(psbench::kFooter);
  const std::array commands{psbench::pushpull_command(app),     psbench::update_command(app),
                            psbench::codec_command(app),        psbench::layers_command(app),
                            psbench::step_command(app),         psbench::roofline_command(app),
                            psbench::sync_vs_async_command(app)};
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
