// pssim: answers from simulations what no machine at hand can be asked.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include <ps/error.h>

#include "scale.h"

namespace {

constexpr int kUsage = 2;

constexpr const char* kFooter =
    R"(What is simulated, and what is not:
  scale     Workers that compute, push every bucket of their model and wait for the answers; shards
            that take pushes one after the other, update and answer. Which chunk is where, what
            shares a message, when a round commits and who may read is said by the code that real
            jobs run (cluster/placement, worker/plan, worker/step, server/round, server/gate).
            Messages are sizes. Each node has one network card, as fast both ways; switches never
            fill. There are no losses, heartbeats, retries or credits, and a step's gradients are
            all ready at its end.

Beside what came out stand the closed forms that it should meet. Same flags, same output: the seed
decides all. docs/performance.md has the model, the formulas, and how far real jobs are from it.

Exit codes: 0 all went well; 1 it failed; 2 or above 100 bad usage.

Examples:
  pssim scale                                   (1000 workers, 32 shards, yolov5n, bsp)
  pssim scale --mode ssp:2 --compute lognormal:0.3
  pssim scale --mode asp --straggler 4 --workers 64 --shards 4
  pssim scale --model 400MiB --link 100G --shards 128 --steps 20
  pssim scale --workers 10000 --shards 256 --steps 20 --json)";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Simulates jobs of many workers in virtual time, on one core.");
  app.require_subcommand(1);
  app.footer(kFooter);
  const pssim::Command scale = pssim::scale_command(app);
  CLI11_PARSE(app, argc, argv);
  try {
    return scale.run();
  } catch (const ps::Error& error) {
    std::fprintf(stderr, "pssim: %s\n", error.what());
    return error.code() == ps::ErrorCode::kInvalidArgument ? kUsage : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pssim: %s\n", error.what());
  }
  return 1;
}
