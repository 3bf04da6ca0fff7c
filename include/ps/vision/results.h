// results.csv, a detector's training epoch by epoch, in the format that YOLOv5's users read with
// their scripts: 14 columns 20 wide, any more after them. Pictures of it are plots.h's.
#pragma once

#include <array>
#include <cstdint>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ps::vision {

inline constexpr std::array<const char*, 14> kResultColumns = {"epoch",
                                                               "train/box_loss",
                                                               "train/obj_loss",
                                                               "train/cls_loss",
                                                               "metrics/precision",
                                                               "metrics/recall",
                                                               "metrics/mAP_0.5",
                                                               "metrics/mAP_0.5:0.95",
                                                               "val/box_loss",
                                                               "val/obj_loss",
                                                               "val/cls_loss",
                                                               "x/lr0",
                                                               "x/lr1",
                                                               "x/lr2"};

struct EpochLoss {
  double box = 0;
  double objectness = 0;
  double category = 0;
};

struct EpochResult {
  std::int64_t epoch = 0;  // from 0
  EpochLoss train;
  double precision = 0;
  double recall = 0;
  double map50 = 0;
  double map50_95 = 0;
  EpochLoss val;
  std::array<double, 3> lr{};  // of biases, of weights that decay, of the others
  std::vector<double> more;    // the file's additional columns
};

// Writes one run's file; one thread's.
class ResultsFile {
 public:
  // Begins `path` with the 14 columns and `more`. With first_epoch > 0 a run goes on: rows of the
  // file that is there stay if their epoch is before first_epoch, and a last line that a crash cut
  // off goes. Throws Error: kInvalidArgument for a name of `more` that is empty or has a comma, a
  // quote or a line's end; kIo; kMismatch, if the file has other columns; kCorrupt, naming the
  // line.
  ResultsFile(std::string path,
              std::span<const std::string> more = {},
              std::int64_t first_epoch = 0);

  // The file is whole after each row. Throws Error: kInvalidArgument unless `more` has a value for
  // each column; kIo.
  void add(const EpochResult& result);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::size_t more_;
  std::ofstream file_;
};

// A file's columns, the first of them "epoch", and its rows, each with a value for every column.
struct ResultsTable {
  std::vector<std::string> columns;
  std::vector<std::vector<double>> rows;

  // The column of that name; none if there is none.
  [[nodiscard]] std::optional<std::size_t> find(std::string_view name) const;
};

// Throws Error: kIo; kCorrupt, naming the line, for what is no table of numbers under a header that
// begins with "epoch". A last line without an end is left out: its writer was cut off.
[[nodiscard]] ResultsTable read_results(const std::string& path);

}  // namespace ps::vision
