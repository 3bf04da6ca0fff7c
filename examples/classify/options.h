// The command line of classify, as it is when ps has taken its own flags out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace classify {

struct Options {
  enum class Command { kTrain, kEval };
  Command command = Command::kTrain;
  std::string data;  // empty: not said
  // Of train:
  std::uint32_t epochs = 4;
  std::uint32_t batch = 64;  // over all workers together
  float lr = 0.1F;
  std::optional<float> momentum;  // not said: depends on the mode and the number of workers
  float weight_decay = 1e-4F;
  std::uint64_t limit = 0;        // training images; 0: all
  std::string compress = "none";  // see ps/compression.h
  std::string compress_pull = "none";
  std::string out = "runs/classify";
  // Of eval:
  std::string weights;
};

// Nothing when help or an error of usage was printed instead: `exit_code` says how to end.
std::optional<Options> parse_options(const std::vector<std::string>& arguments, int& exit_code);

}  // namespace classify
