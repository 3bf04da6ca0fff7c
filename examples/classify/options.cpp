#include "options.h"

#include <CLI/CLI.hpp>

namespace classify {
namespace {

constexpr const char* kFooter = R"(
Alone, everything runs in this process:
  classify train --epochs 2
As a job of 2 workers and 2 servers on this machine:
  psrun -n 2 -s 2 -- classify train
Another consistency mode (--help-config lists all keys of ps, --print-config what is in force):
  psrun -n 4 -s 2 -- classify train --consistency.mode=async

train writes into --out: results.csv, results.png (with gnuplot), weights.safetensors. Its last line is one JSON
object: {"accuracy": ..., "samples_per_second": ..., "seconds": ..., "mode": ...}. Exit code 0 if all went well.)";

}  // namespace

std::optional<Options> parse_options(const std::vector<std::string>& arguments, int& exit_code) {
  Options options;
  CLI::App app(
      "Trains and tests a classifier of Fashion-MNIST's 28x28 images over parameter servers.",
      "classify");
  app.footer(kFooter);
  app.require_subcommand(1);
  CLI::App* train = app.add_subcommand("train", "train, test after every epoch, save the weights");
  CLI::App* eval = app.add_subcommand("eval", "test saved weights");
  for (CLI::App* command : {train, eval}) {
    command->add_option("--data", options.data, "folder of Fashion-MNIST's four .gz files")
        ->capture_default_str();
  }
  train->add_option("--epochs", options.epochs, "passes over the training images")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  train->add_option("--batch", options.batch, "images of one step, over all workers together")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  train
      ->add_option("--lr", options.lr,
                   "learning rate, reached after a warm-up, then falling as a cosine")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  train
      ->add_option("--momentum", options.momentum,
                   "of SGD; by default 0.9, but 0 in async mode with 4 workers or more")
      ->check(CLI::Range(0.0, 0.9999));
  train->add_option("--weight-decay", options.weight_decay, "not on biases and BatchNorm")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  train->add_option("--limit", options.limit, "train on the first so many images only (0: all)")
      ->capture_default_str();
  train->add_flag("--augment,!--no-augment", options.augment,
                  "shift and mirror the training images (on by default)");
  train->add_option("--out", options.out, "folder for results")->capture_default_str();
  eval->add_option("--weights", options.weights, "a weights.safetensors that train wrote")
      ->required();
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  try {
    app.parse(static_cast<int>(argv.size()), argv.data());
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error) == 0 ? 0 : 2;
    return std::nullopt;
  }
  options.command = eval->parsed() ? Options::Command::kEval : Options::Command::kTrain;
  return options;
}

}  // namespace classify
