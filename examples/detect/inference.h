// Boxes from pictures: one network or several, at one scale or three.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include <ps/nn/box_finder.h>
#include <ps/nn/detection.h>

#include "network.h"
#include "options.h"

namespace detect {

ps::nn::NmsOptions nms_options(const InferenceOptions& options);

// A box of the network's input as one of the picture that lies in it so.
ps::nn::Detection in_source(const ps::vision::LetterboxFrame& frame, const ps::nn::Detection& box);

// One thread's; the networks outlive it, have the same classes and take the same input size. One
// network at one scale finds its boxes on its own device, the candidates of several meet on the
// CPU.
class Inference {
 public:
  // augment: at scales 1, 0.83 (mirrored) and 0.67 as well.
  Inference(std::vector<Network*> networks, ps::nn::NmsOptions options, bool augment);

  // images: [n, 3, height, width]. For each its boxes in pixels, best first. Until the next call.
  std::span<const std::vector<ps::nn::Detection>> run(std::span<const float> images,
                                                      std::int64_t n,
                                                      ps::vision::ImageSize size);

  // The criterion's loss of the last call: of the first network, at the full scale.
  ps::nn::DetectionLoss loss(ps::nn::DetectionCriterion& criterion,
                             std::span<const ps::nn::Target> targets);
  // Seconds since construction: in the networks, and in choosing boxes.
  [[nodiscard]] double network_seconds() const noexcept { return network_seconds_; }
  [[nodiscard]] double nms_seconds() const noexcept { return nms_seconds_; }

 private:
  struct View {  // one pass of the test-time augmentation
    double scale;
    bool mirrored;
  };

  std::span<const std::vector<ps::nn::Detection>> find(std::span<const float> images,
                                                       ps::vision::ImageSize size);
  // Appends the candidates of all images, as they are in the whole picture.
  void pass(Network& network,
            std::span<const float> images,
            std::int64_t n,
            ps::vision::ImageSize size,
            const View& view);

  const std::vector<Network*> networks_;
  const ps::nn::NmsOptions options_;
  const std::vector<View> views_;
  std::map<const ps::nn::Detector*, ps::nn::BoxFinder> finders_;  // of one network at one scale
  ps::nn::BoxFinder* finder_ = nullptr;                           // used last

  // Of several.
  std::vector<float> scaled_;
  std::vector<float> rows_;
  std::vector<std::vector<float>> candidates_;  // by image
  std::vector<std::vector<ps::nn::Detection>> boxes_;
  std::span<const float> output_;  // the first network's, at the full scale
  double network_seconds_ = 0.0;
  double nms_seconds_ = 0.0;
};

}  // namespace detect
