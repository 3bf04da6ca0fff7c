// A training's options in its folder: for people in opt.yaml, for --resume as the arguments that
// gave them.
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include <ps/error.h>

#include "options.h"

namespace detect {

std::string arguments_of_run(const TrainOptions& options) {
  std::string text;
  for (const std::string& each : options.arguments) text += each + '\n';
  return text;
}

TrainOptions options_of_run(const std::string& arguments) {
  std::vector<std::string> parts;
  std::istringstream lines(arguments);
  for (std::string line; std::getline(lines, line);) parts.push_back(line);
  int exit_code = 0;
  const std::optional<Options> options = parse_options(parts, exit_code);
  if (options && options->command == Options::Command::kTrain) return options->train;
  throw ps::Error(
      ps::ErrorCode::kMismatch,
      "--resume: the options in the file are not ones of this program: was it written by another "
      "version?");
}

void write_options(std::ostream& out, const TrainOptions& options) {
  const auto quoted = [](const std::string& text) { return "'" + text + "'"; };
  out << "weights: " << quoted(options.weights) << "\ncfg: " << quoted(options.cfg)
      << "\ndata: " << quoted(options.data) << "\nhyp: " << quoted(options.hyp)
      << "\nepochs: " << options.epochs << "\nbatch_size: " << options.batch_size
      << "\nimgsz: " << options.image_size << "\nnosave: " << !options.save
      << "\nnoval: " << options.validate_last_only << "\nnoautoanchor: " << !options.auto_anchor
      << "\nnoplots: " << !options.plots << "\ncache: " << options.cache
      << "\nmulti_scale: " << options.multi_scale << "\nsingle_cls: " << options.single_class
      << "\noptimizer: " << options.optimizer << "\ncos_lr: " << options.cosine
      << "\nlabel_smoothing: " << options.label_smoothing << "\npatience: " << options.patience
      << "\nfreeze: " << options.freeze << "\nsave_period: " << options.save_period
      << "\nworkers: " << options.loaders << "\ndevice: " << options.compute.device
      << "\nsplit: " << quoted(options.compute.split)
      << "\nmicro_batches: " << options.compute.micro_batches << "\namp: " << options.compute.amp
      << "\ncompress: " << options.compress << "\ncompress_pull: " << options.compress_pull
      << "\nproject: " << quoted(options.project) << "\nname: " << quoted(options.name)
      << "\nexist_ok: " << options.exist_ok << "\nset: [";
  for (std::size_t i = 0; i < options.overrides.size(); ++i) {
    out << (i > 0 ? ", " : "") << quoted(options.overrides[i]);
  }
  out << "]\n";
}

}  // namespace detect
