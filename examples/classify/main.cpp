// classify: trains a small convolutional network on Fashion-MNIST over a parameter server, and
// evaluates what it has trained.
#include <cstdio>
#include <exception>
#include <optional>

#include <ps/session.h>

#include "dataset.h"
#include "evaluation.h"
#include "network.h"
#include "options.h"
#include "training.h"

namespace classify {
namespace {

constexpr int kFailure = 1;
constexpr const char* kDefaultData = "/usr/share/datasets/fashion-mnist";

void run_train(ps::Session& session, const Options& options) {
  const TrainResult result = train(session, options);
  if (session.rank() != 0) return;
  std::printf(
      "{\"accuracy\": %.4f, \"loss\": %.4f, \"samples_per_second\": %.1f, "
      "\"seconds\": %.2f, \"mode\": \"%s\", \"epochs\": %u, \"workers\": %u, "
      "\"mean_staleness\": %.3f}\n",
      result.accuracy, result.loss, result.samples_per_second, result.seconds, result.mode.c_str(),
      options.epochs, session.workers(), result.mean_staleness);
}

void run_eval(ps::Session& session, const Options& options) {
  ps::nn::Graph graph = build_network();
  const Weights weights = load_weights(options.weights, graph);
  graph.prepare(kEvaluationBatch);
  const Dataset test = load_dataset(options.data, Part::kTest, 0);
  const Score score = evaluate(session, graph, test);
  session.finish();
  if (session.rank() != 0) return;
  std::printf("{\"accuracy\": %.4f, \"loss\": %.4f, \"samples\": %zu, \"workers\": %u}\n",
              score.accuracy, score.loss, test.size(), session.workers());
}

int run(int argc, char** argv) {
  int exit_code = 0;
  // Before joining anything: help and errors of usage need no cluster.
  std::optional<Options> options = parse_options(ps::program_arguments(argc, argv), exit_code);
  if (!options) return exit_code;
  ps::Session session = ps::Session::open(argc, argv);
  if (options->data.empty()) options->data = session.data_path();
  if (options->data.empty()) options->data = kDefaultData;
  if (options->command == Options::Command::kEval) {
    run_eval(session, *options);
  } else {
    run_train(session, *options);
  }
  return 0;
}

}  // namespace
}  // namespace classify

int main(int argc, char** argv) {
  try {
    return classify::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "classify: %s\n", error.what());
    return classify::kFailure;
  }
}
