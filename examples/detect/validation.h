// How good a detector is on a data set, found out by all workers together.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <ps/nn/detection.h>
#include <ps/session.h>
#include <ps/vision/dataset.h>
#include <ps/vision/loader.h>
#include <ps/vision/metrics.h>

#include "inference.h"

namespace detect {

struct ValidationOptions {
  std::int64_t batch = 32;
  ps::vision::ImageSize size;
  int loaders = 1;  // threads
  bool single_class = false;
  ps::vision::ApKind kind = ps::vision::ApKind::kCoco;
  // Set: the losses are reckoned, too (of the first network, by these gains).
  const ps::nn::DetectionLossOptions* loss = nullptr;
};

// A batch with its boxes, found and true, by image; in pixels of the network's input.
struct Judged {
  const ps::vision::DetectionBatch& batch;
  std::span<const std::vector<ps::nn::Detection>> found;
  std::span<const std::vector<ps::vision::TruthBox>> truth;
};

struct Validation {
  ps::vision::DetectionReport report;
  std::array<double, 3> losses{};  // box, obj (anchor-free: dfl), cls; means over the images
  // Milliseconds an image of the slowest worker: waiting for data, network, choosing boxes.
  std::array<double, 3> milliseconds{};
};

// Every worker calls it with the same weights; each takes its slice of the data, and all get the
// result of the whole. `see` (may be empty) is shown every batch of this worker's slice.
Validation validate(ps::Session& session,
                    Inference& inference,
                    Network& network,
                    const ps::vision::Dataset& data,
                    const ValidationOptions& options,
                    const std::function<void(const Judged&)>& see);

}  // namespace detect
