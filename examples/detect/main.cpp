// detect: YOLO-style detectors over a parameter server: train, val, predict, export, tune.
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include <ps/session.h>

#include "commands.h"
#include "options.h"

namespace detect {
namespace {

constexpr int kFailure = 1;

bool is_training(const std::string& command) {
  return command == "train" || command == "tune" || command == "evolve";
}

// --seed is ps's own key.
std::vector<char*> with_seed_as_key(int argc, char** argv, std::vector<std::string>& storage) {
  for (int i = 0; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--seed" && i + 1 < argc && is_training(argv[1])) {
      storage.push_back("--job.seed=" + std::string(argv[++i]));
    } else if (argument.starts_with("--seed=") && is_training(argv[1])) {
      storage.push_back("--job.seed=" + argument.substr(7));
    } else {
      storage.push_back(argument);
    }
  }
  std::vector<char*> pointers;
  for (std::string& each : storage) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  return pointers;
}

int run(int argc, char** argv) {
  std::vector<std::string> storage;
  std::vector<char*> arguments = with_seed_as_key(argc, argv, storage);
  const int count = static_cast<int>(storage.size());
  int exit_code = 0;
  // Before joining anything: help and errors of usage need no cluster.
  const std::optional<Options> options =
      parse_options(ps::program_arguments(count, arguments.data()), exit_code);
  if (!options) return exit_code;
  using Command = Options::Command;
  switch (options->command) {
    case Command::kExport:
      return run_export(*options);
    case Command::kMakeData:
      return run_make_data(*options);
    case Command::kModels:
      return run_models(*options);
    case Command::kPredict:
      return run_predict(*options);
    case Command::kTune:
      return run_tune(*options, count, arguments.data());
    case Command::kTrain:
    case Command::kVal:
      break;
  }
  ps::Session session = ps::Session::open(count, arguments.data());
  return options->command == Command::kVal ? run_val(session, *options)
                                           : run_train(session, *options);
}

}  // namespace
}  // namespace detect

int main(int argc, char** argv) {
  try {
    return detect::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "detect: %s\n", error.what());
    return detect::kFailure;
  }
}
