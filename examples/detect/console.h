// What a training says while it runs, in the columns that YOLO's users know.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <ps/vision/results.h>
#include <ps/vision/shapes.h>

#include "epoch_loop.h"
#include "validation.h"

namespace detect {

struct EpochMoment {
  std::uint32_t epoch = 0;  // from 0
  std::uint32_t epochs = 0;
  const Tally& tally;             // of this worker, this epoch
  double part = 0.0;              // of the epoch
  std::uint32_t first_epoch = 0;  // of this process's run
  double seconds = 0.0;           // since the run began
  std::uint32_t workers = 1;
  ps::vision::ImageSize size;
};

// Epoch, losses, instances, size.
void print_epoch_header(bool anchor_free);
// The progress line: losses so far, images/s of all workers, time left.
std::string epoch_line(const EpochMoment& moment);
void print_epoch(std::uint32_t epoch, std::uint32_t epochs, const Tally& all, int image_size);
void print_speed(const Validation& scores);

// Columns of results.csv after those of YOLOv5: images_per_second, waiting_for_data,
// mean_staleness.
std::vector<std::string> more_columns();
ps::vision::EpochResult results_row(std::uint32_t epoch,
                                    const Tally& all,
                                    const Validation& scores,
                                    const std::array<double, 3>& lr);

}  // namespace detect
