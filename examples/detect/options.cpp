#include "options.h"

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "options_declare.h"

namespace detect {
namespace {

constexpr int kUsage = 2;

constexpr const char* kDescription =
    "Trains YOLO-style detectors over a parameter server, on one machine or many; validates them,\n"
    "finds objects with them, and exports them as ONNX.";

constexpr const char* kFooter =
    "Examples:\n"
    "  detect train --data fm-det --img 128 --epochs 8          alone, on generated pictures\n"
    "  psrun -n 2 -s 2 -- detect train --data coco.yaml --cfg yolov5n --img 640\n"
    "  psrun -n 4 -s 2 -- detect train --data coco.yaml --consistency.mode=async\n"
    "  detect train --resume                                    the newest run goes on\n"
    "  detect val --weights runs/train/exp/weights/best.safetensors --data coco.yaml\n"
    "  detect predict --weights best.safetensors --source photos/ --save-txt\n"
    "  detect export --weights best.safetensors --include onnx\n"
    "\n"
    "Flags have the names that users of YOLOv5 know; `detect COMMAND --help` lists them. The keys "
    "of ps\n"
    "are flags, too: --consistency.mode=ssp, --cluster.wait_ms=60000, --config FILE.\n"
    "The last line of standard output is the result as JSON (train; the others with --json).\n"
    "Exit codes: 0, 1 failed, 2 bad usage.";

void declare_export(CLI::App& app, ExportOptions& options) {
  static std::vector<std::string> kinds{"onnx"};
  app.add_option("--weights", options.weights, "A file that train wrote")->required();
  app.add_option("--include", kinds, "Formats")
      ->check(CLI::IsMember({"onnx"}))
      ->capture_default_str();
  app.add_option("--output,-o", options.output, "File to write (default: beside the weights)");
  app.add_option("--img,--imgsz,--img-size", options.image_size,
                 "Side of the input (default: as trained)")
      ->check(CLI::Range(32, 8192));
  app.add_option("--opset", options.opset, "Version of ONNX's operators (default: what fits)");
}

void declare_tune(CLI::App& app, TuneOptions& options) {
  declare_train(app, options.train);
  app.add_option("--trials,--evolve", options.trials, "Trainings to run")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--tune-seed", options.tune_seed, "Seed of the search")->capture_default_str();
  app.add_option("--genes", options.genes,
                 "Hyper-parameters to search (default: those of augmentation)")
      ->delimiter(',');
}

void declare_make_data(CLI::App& app, MakeDataOptions& options) {
  app.add_option("folder", options.output, "Folder to write: data.yaml, images/, labels/")
      ->required();
  app.add_option("--count", options.count, "Training images")
      ->check(CLI::Range(1, 10000000))
      ->capture_default_str();
  app.add_option("--val", options.val, "Validation images")
      ->check(CLI::Range(1, 10000000))
      ->capture_default_str();
  app.add_option("--size", options.size, "Side of an image")
      ->check(CLI::Range(32, 4096))
      ->capture_default_str();
  app.add_option("--classes", options.classes, "5 coarse or 10 fine classes")
      ->check(CLI::IsMember({5, 10}))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "The same seed gives the same images everywhere")
      ->capture_default_str();
}

}  // namespace

std::optional<Options> parse_options(const std::vector<std::string>& arguments, int& exit_code) {
  Options options;
  CLI::App app(kDescription, "detect");
  app.footer(kFooter);
  app.require_subcommand(1);
  using Command = Options::Command;
  const auto add = [&](const char* name, const char* text, Command command) {
    CLI::App* added = app.add_subcommand(name, text);
    added->callback([&options, command] { options.command = command; });
    added->add_flag("--json", options.json, "Ends with a line of JSON");
    return added;
  };
  declare_train(*add("train", "Train; writes a run folder with checkpoints, curves and pictures",
                     Command::kTrain),
                options.train);
  declare_val(*add("val", "Precision, recall and mAP of trained weights", Command::kVal),
              options.val);
  CLI::App* predict =
      add("predict", "Find objects in files, folders, globs or videos", Command::kPredict);
  predict->alias("detect");
  declare_predict(*predict, options.predict);
  declare_export(*add("export", "Write trained weights as ONNX", Command::kExport),
                 options.export_to);
  CLI::App* tune = add("tune", "Search hyper-parameters: many short trainings, the best one's kept",
                       Command::kTune);
  tune->alias("evolve");
  declare_tune(*tune, options.tune);
  declare_make_data(
      *add("make-data", "Write the generated data set FM-Det as a YOLO folder", Command::kMakeData),
      options.make_data);
  add("models", "List the built-in networks", Command::kModels);
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  try {
    app.parse(static_cast<int>(argv.size()), argv.data());
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error) == 0 ? 0 : kUsage;
    return std::nullopt;
  }
  options.train.arguments = arguments;
  return options;
}

}  // namespace detect
