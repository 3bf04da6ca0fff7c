// The command line of classify. What ps itself can be told (--consistency.mode=async ...) has been
// taken out of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace classify {

struct Options {
  enum class Command { kTrain, kEval };
  Command command = Command::kTrain;
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::uint32_t epochs = 4;
  std::uint32_t batch = 128;  // over all workers
  float lr = 0.05F;
  float momentum = -1;  // < 0: by the mode and the number of workers
  float weight_decay = 5e-4F;
  std::uint64_t limit = 0;  // samples to train on; 0: all
  bool augment = true;
  std::string out = "runs/classify";
  std::string weights;  // eval
};

// Nothing when the text asked for (help, usage) has been printed: `exit_code` says how to end.
std::optional<Options> parse_options(const std::vector<std::string>& arguments, int& exit_code);

}  // namespace classify
