#include "options.h"

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "compression_option.h"

namespace classify {
namespace {

constexpr int kUsage = 2;

constexpr const char* kDescription =
    "Trains a small convolutional network on Fashion-MNIST (60,000 + 10,000 images of clothes;\n"
    "Debian's package dataset-fashion-mnist) over a parameter server, or evaluates one.";

constexpr const char* kFooter =
    "Examples:\n"
    "  classify train                                    alone, in one process\n"
    "  psrun -n 2 -s 2 -- classify train                 2 workers and 2 servers\n"
    "  psrun -n 4 -s 2 -- classify train --consistency.mode=async\n"
    "  psrun -n 4 -s 2 -- classify train --compress topk:0.01 --compress-pull bf16\n"
    "  classify train --epochs 1 --limit 6000            a quick look\n"
    "  classify eval --weights runs/classify/weights.safetensors\n"
    "\n"
    "train writes results.csv, results.png (with gnuplot) and weights.safetensors into --out.\n"
    "The keys of ps are flags of classify, too: --job.seed=7, --consistency.mode=ssp,\n"
    "--optimizer.name=adam, --data.prefetch=4, --config FILE; classify --help-config lists all.\n"
    "The last line of standard output is the result as JSON. Exit codes: 0, 1 failed, 2 bad usage.";

void declare_train(CLI::App& train, Options& options) {
  train.add_option("--epochs", options.epochs, "Passes over the training images")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  train.add_option("--batch", options.batch, "Images of one step, over all workers together")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  train.add_option("--lr", options.lr, "Learning rate after a warm-up; it falls as a cosine to 0")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  train
      .add_option("--momentum", options.momentum,
                  "Momentum (default: 0.9, but 0 in async and ssp mode with 4 or more workers)")
      ->check(CLI::Range(0.0, 0.999));
  train
      .add_option("--weight-decay", options.weight_decay,
                  "L2 penalty on weights, not on biases and BatchNorm")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  train.add_option("--limit", options.limit, "Train on the first so many images (default: all)");
  declare_compression(train, options.compress, options.compress_pull);
  train.add_option("--out", options.out, "Folder for the results")->capture_default_str();
}

}  // namespace

std::optional<Options> parse_options(const std::vector<std::string>& arguments, int& exit_code) {
  Options options;
  CLI::App app(kDescription, "classify");
  app.footer(kFooter);
  app.require_subcommand(1);
  CLI::App* train = app.add_subcommand("train", "Train, and write what came of it into a folder");
  CLI::App* eval = app.add_subcommand("eval", "Accuracy of saved weights on the test images");
  for (CLI::App* command : {train, eval}) {
    command->add_option("--data", options.data,
                        "Folder of Fashion-MNIST's four .gz files (default: the key data.path, or "
                        "else where Debian's package puts them)");
  }
  declare_train(*train, options);
  eval->add_option("--weights", options.weights, "A file that train wrote")->required();
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  try {
    app.parse(static_cast<int>(argv.size()), argv.data());
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error) == 0 ? 0 : kUsage;
    return std::nullopt;
  }
  options.command = eval->parsed() ? Options::Command::kEval : Options::Command::kTrain;
  return options;
}

}  // namespace classify
