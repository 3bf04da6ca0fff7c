// A detector's training step as a worker runs it, timed in one process: alone, and with what
// servers in the same process add to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <ps/device.h>

#include "wall.h"

namespace psbench {

struct StepOptions {
  std::string model = "yolov5n";
  std::int64_t size = 640;
  std::int64_t batch = 16;
  std::int64_t classes = 80;
  std::string device = "cuda:0";
  std::uint32_t servers = 2;
  double seconds = 10.0;  // of measuring, for each precision
  bool quick = false;
  bool json = false;
};

struct StepTimes {
  Spread local;   // weights up, forward, loss, backward, gradients down; nothing is sent
  Spread pushed;  // the same, each gradient pushed when it is there, until the new weights are
  std::size_t device_bytes = 0;  // that the network took of the device; 0 where nobody knows
  std::size_t weight_bytes = 0;
  std::size_t image_bytes = 0;
};

// Both kinds in turns of ten. Throws what the device throws, and for a loss that is not finite.
StepTimes time_steps(const StepOptions& options, const ps::Device& device, ps::Precision precision);

}  // namespace psbench
