// `detect tune`: a genetic search over hyper-parameters. Every trial is a training, a session of
// its own in this process.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <ps/error.h>
#include <ps/session.h>

#include "commands.h"
#include "evolution.h"
#include "hyperparameters.h"
#include "run_folder.h"
#include "training.h"

namespace detect {
namespace {

std::string csv_line(const Trial& trial, const std::vector<std::string>& genes) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.5g,%.5g,%.5g", trial.fitness, trial.map50,
                trial.map50_95);
  std::string line = text.data();
  for (std::size_t i = 0; i < genes.size(); ++i) {
    std::snprintf(text.data(), text.size(), ",%.6g", trial.values[i]);
    line += text.data();
  }
  return line + "\n";
}

std::string to_text(const Hyperparameters& hyperparameters) {
  std::ostringstream text;
  write_hyperparameters(text, hyperparameters);
  return text.str();
}

Trial run_trial(const TrainOptions& options, int argc, char** argv) {
  ps::Session session = ps::Session::open(argc, argv);
  if (session.workers() > 1) {
    throw ps::Error(ps::ErrorCode::kInvalidArgument,
                    "tune runs one training after another by itself: start it without psrun");
  }
  const TrainResult result = train(session, options);
  return {.fitness = 0.1 * result.map50 + 0.9 * result.map50_95,
          .map50 = result.map50,
          .map50_95 = result.map50_95,
          .values = {}};
}

}  // namespace

int run_tune(const Options& all, int argc, char** argv) {
  const TuneOptions& options = all.tune;
  const std::string folder =
      make_run_folder(options.train.project, options.train.name + "-tune", options.train.exist_ok);
  Hyperparameters start =
      load_hyperparameters(options.train.hyp.empty() ? "scratch-low" : options.train.hyp);
  for (const std::string& change : options.train.overrides) override_hyperparameter(start, change);
  Evolution evolution(start, options.genes, options.tune_seed);
  std::ofstream csv(folder + "/evolve.csv");
  csv << "fitness,map50,map50_95";
  for (const std::string& gene : evolution.genes()) csv << "," << gene;
  csv << "\n";
  for (std::uint32_t i = 0; i < options.trials; ++i) {
    const Hyperparameters chosen = evolution.next();
    const std::string hyp = folder + "/hyp_trial.yaml";
    std::ofstream(hyp) << to_text(chosen);
    TrainOptions of_trial = options.train;
    of_trial.hyp = hyp;
    of_trial.overrides.clear();
    of_trial.project = folder;
    of_trial.name = "trial";
    of_trial.plots = false;
    Trial trial = run_trial(of_trial, argc, argv);
    trial.values = evolution.values(chosen);
    evolution.judge(trial);
    csv << csv_line(trial, evolution.genes()) << std::flush;
    if (!csv) throw ps::Error(ps::ErrorCode::kIo, folder + "/evolve.csv: cannot be written");
    const Trial& best = evolution.best();
    std::ofstream(folder + "/hyp_evolve.yaml") << to_text(evolution.with(best.values));
    std::printf("trial %u/%u: fitness %.4f (mAP50 %.4f); best %.4f\n", i + 1, options.trials,
                trial.fitness, trial.map50, best.fitness);
    std::fflush(stdout);
  }
  std::printf("the best hyper-parameters are in %s/hyp_evolve.yaml: train with --hyp\n",
              folder.c_str());
  if (all.json) {
    std::printf("{\"fitness\": %.4f, \"map50\": %.4f, \"hyp\": \"%s/hyp_evolve.yaml\"}\n",
                evolution.best().fitness, evolution.best().map50, folder.c_str());
  }
  return 0;
}

}  // namespace detect
