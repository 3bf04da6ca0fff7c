// Fashion-MNIST over parameter servers: `classify train` and `classify eval`. Data: Debian's
// package dataset-fashion-mnist. `psrun -n 2 -s 2 -- classify train` ends with an accuracy above
// 0.90.
#include <cstdio>
#include <exception>

#include <ps/ps.hpp>

#include "options.h"
#include "training.h"

int main(int argc, char** argv) {
  try {
    // Help and usage errors need no cluster.
    int exit_code = 0;
    const std::vector<std::string> words = ps::program_arguments(argc, argv);
    const auto options = classify::parse_options(words, exit_code);
    if (!options) return exit_code;
    ps::Session session = ps::Session::open(argc, argv);
    return options->command == classify::Options::Command::kTrain
               ? classify::train(session, *options)
               : classify::evaluate_weights(session, *options);
  } catch (const ps::Error& error) {
    std::fprintf(stderr, "classify: %s\n", error.what());
    return error.code() == ps::ErrorCode::kInvalidArgument ? 2 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "classify: %s\n", error.what());
    return 1;
  }
}
