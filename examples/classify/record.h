// What a run leaves to look at: results.csv, a row now and then, and a plot of it.
#pragma once

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

#include <ps/measures.h>

#include "evaluation.h"

namespace classify {

struct Row {
  std::uint32_t epoch = 0;          // from 1
  std::uint64_t step = 0;           // of the worker that writes, from the run's beginning
  double seconds = 0.0;             // since the training began, evaluation included
  std::uint64_t samples = 0;        // read by all workers together (async and ssp: about)
  Score train;                      // since the last row, with weights that changed meanwhile
  std::optional<Score> test;        // once an epoch
  double samples_per_second = 0.0;  // of all workers so far, without evaluation
  double mean_staleness = 0.0;      // since the last row
  double lr = 0.0;
  std::optional<ps::Measures> measures;  // once an epoch, with observe.measure
};

// One worker's, and one thread's.
class Record {
 public:
  // Makes the folder, and begins results.csv and plot.gp in it. Throws ps::Error(kIo).
  explicit Record(const std::string& folder);

  // The file is whole after each row. Throws ps::Error(kIo).
  void add(const Row& row);
  // Draws results.png with gnuplot. False when there is no gnuplot, or it failed (and said why).
  [[nodiscard]] bool plot(const std::string& title) const;

 private:
  const std::string folder_;
  const std::string path_;
  std::ofstream file_;
};

}  // namespace classify
