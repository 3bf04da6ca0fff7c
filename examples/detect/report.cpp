#include "report.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>

#include <ps/error.h>
#include <ps/vision/draw.h>

#include "console.h"
#include "hyperparameters.h"

namespace detect {
namespace {

using ps::vision::Tile;

constexpr int kBatchesDrawn = 3;
constexpr std::chrono::seconds kBetweenPlots{60};

// The batch's first pictures with the boxes that are true of them.
std::vector<Tile> true_tiles(const ps::vision::DetectionBatch& batch,
                             const std::vector<std::string>& names) {
  std::vector<Tile> tiles(std::min(batch.indices.size(), ps::vision::kMostTiles));
  const std::size_t floats = batch.images.size() / batch.indices.size();
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    tiles[i].image = ps::vision::from_tensor(std::span(batch.images).subspan(i * floats, floats),
                                             batch.size.height, batch.size.width);
    tiles[i].title = std::to_string(batch.indices[i]);
    std::vector<ps::vision::Label> labels;
    for (const ps::nn::Target& target : batch.targets) {
      if (static_cast<std::size_t>(target.image) != i) continue;
      labels.push_back({target.category, target.x, target.y, target.width, target.height, {}});
    }
    tiles[i].boxes = ps::vision::boxes_of(labels, names, batch.size.width, batch.size.height);
  }
  return tiles;
}

}  // namespace

Report::Report(std::string folder, std::vector<std::string> names, bool plots)
    : folder_(std::move(folder)), names_(std::move(names)), plots_(plots) {}

Report::Report(const Setup& setup) : Report(setup.folder, setup.spec.names, setup.options.plots) {
  std::error_code ignored;  // writing into it tells
  std::filesystem::create_directories(folder_ + "/weights", ignored);
  std::ofstream opt(folder_ + "/opt.yaml");
  write_options(opt, setup.options);
  std::ofstream hyp(folder_ + "/hyp.yaml");
  write_hyperparameters(hyp, setup.hyperparameters);
  if (!opt.flush() || !hyp.flush()) {
    throw ps::Error(ps::ErrorCode::kIo, folder_ + ": opt.yaml and hyp.yaml cannot be written");
  }
  results_.emplace(folder_ + "/results.csv", more_columns(), setup.progress.epoch);
}

void Report::say_once(const ps::vision::Plotted& plotted) {
  if (plotted || plotted.reason == problem_) return;
  problem_ = plotted.reason;
  std::printf("not drawn: %s\n", problem_.c_str());
}

void Report::draw_labels(const ps::vision::Dataset& data) {
  if (!plots_) return;
  std::vector<ps::vision::Label> labels;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto of_image = data.labels(i);
    labels.insert(labels.end(), of_image.begin(), of_image.end());
  }
  say_once(ps::vision::plot_labels(folder_, labels, names_));
}

void Report::draw_train_batch(const ps::vision::DetectionBatch& batch) {
  if (!plots_ || train_batches_ == kBatchesDrawn) return;
  const std::string name = folder_ + "/train_batch" + std::to_string(train_batches_++) + ".jpg";
  ps::vision::write_image(name, ps::vision::mosaic(true_tiles(batch, names_)));
}

void Report::add_epoch(const ps::vision::EpochResult& row) {
  results_->add(row);
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < kBetweenPlots) return;  // gnuplot takes about a second
  drawn_ = now;
  draw_results();
}

void Report::draw_results() {
  if (plots_) say_once(ps::vision::plot_results(folder_, folder_));
}

void Report::draw_val_batch(const Judged& judged) {
  if (!plots_ || val_batches_ == kBatchesDrawn) return;
  const std::string stem = folder_ + "/val_batch" + std::to_string(val_batches_++);
  std::vector<Tile> tiles = true_tiles(judged.batch, names_);
  ps::vision::write_image(stem + "_labels.jpg", ps::vision::mosaic(tiles));
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    tiles[i].boxes = ps::vision::boxes_of(judged.found[i], names_);
  }
  ps::vision::write_image(stem + "_pred.jpg", ps::vision::mosaic(tiles));
}

void Report::draw_scores(const ps::vision::DetectionReport& report) {
  if (!plots_) return;
  say_once(ps::vision::plot_curves(folder_, report, names_));
  say_once(ps::vision::plot_confusion(folder_, report, names_));
}

void print_scores(const ps::vision::DetectionReport& report,
                  const std::vector<std::string>& names,
                  bool verbose) {
  std::printf("%22s%11s%11s%11s%11s%11s%11s\n", "Class", "Images", "Instances", "P", "R", "mAP50",
              "mAP50-95");
  std::printf("%22s%11lld%11lld%11.3g%11.3g%11.3g%11.3g\n", "all",
              static_cast<long long>(report.images), static_cast<long long>(report.truth),
              report.precision, report.recall, report.map50, report.map50_95);
  for (std::size_t i = 0; verbose && names.size() > 1 && i < report.classes.size(); ++i) {
    const ps::vision::ClassScore& score = report.classes[i];
    std::printf("%22s%11lld%11lld%11.3g%11.3g%11.3g%11.3g\n", names[i].c_str(),
                static_cast<long long>(score.images), static_cast<long long>(score.truth),
                score.precision, score.recall, score.ap50, score.ap50_95);
  }
  std::fflush(stdout);
}

}  // namespace detect
