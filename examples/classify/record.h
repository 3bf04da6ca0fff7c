// What a run leaves behind: results.csv, and a plot of it where gnuplot is installed. Rank 0 alone
// writes.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

namespace classify {

struct EpochRecord {
  std::uint32_t epoch = 0;    // finished, from 1
  std::uint64_t samples = 0;  // of all workers so far
  double seconds = 0;         // since training began, evaluation included
  double train_loss = 0;
  double train_accuracy = 0;
  double test_loss = 0;
  double test_accuracy = 0;
  double samples_per_second = 0;  // of all workers, evaluation left out
  double mean_staleness = 0;
  double max_staleness = 0;
  double lr = 0;
};

class Record {
 public:
  // Makes the folder. Throws ps::Error(kIo) naming what cannot be written.
  explicit Record(const std::string& folder);

  void add(const EpochRecord& epoch);
  // Draws results.png; false where gnuplot is not there or fails.
  bool plot();
  [[nodiscard]] const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
  std::ofstream csv_;
};

}  // namespace classify
