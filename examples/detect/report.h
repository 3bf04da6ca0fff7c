// What a training leaves to look at in its folder, and what it says on the console. Rank 0's.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ps/vision/dataset.h>
#include <ps/vision/loader.h>
#include <ps/vision/plots.h>
#include <ps/vision/results.h>

#include "setup.h"
#include "validation.h"

namespace detect {

class Report {
 public:
  // Writes opt.yaml and hyp.yaml; a run that goes on appends to its results.csv. Throws
  // ps::Error(kIo).
  explicit Report(const Setup& setup);

  // For validation alone, into a folder that is there.
  Report(std::string folder, std::vector<std::string> names, bool plots);

  // labels.jpg.
  void draw_labels(const ps::vision::Dataset& data);
  // train_batch0.jpg to 2: the first three that it is shown.
  void draw_train_batch(const ps::vision::DetectionBatch& batch);
  // A row of results.csv, and now and then results.png.
  void add_epoch(const ps::vision::EpochResult& row);
  void draw_results();
  // val_batch0_labels.jpg, val_batch0_pred.jpg, ... of the first three; for validate()'s `see`.
  void draw_val_batch(const Judged& judged);
  // The curves and the confusion matrix.
  void draw_scores(const ps::vision::DetectionReport& report);

 private:
  void say_once(const ps::vision::Plotted& plotted);  // what could not be drawn

  const std::string folder_;
  const std::vector<std::string> names_;
  const bool plots_;
  std::optional<ps::vision::ResultsFile> results_;
  std::string problem_;
  std::chrono::steady_clock::time_point drawn_ = std::chrono::steady_clock::now();
  int train_batches_ = 0;
  int val_batches_ = 0;
};

// The table of validation results: a header and the row "all", with `verbose` a row for each class.
void print_scores(const ps::vision::DetectionReport& report,
                  const std::vector<std::string>& names,
                  bool verbose);

}  // namespace detect
