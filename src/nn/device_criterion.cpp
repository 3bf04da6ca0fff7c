#include "nn/device_criterion.h"

#include <algorithm>
#include <array>
#include <functional>
#include <type_traits>
#include <utility>

#include "kernels/aligned_loss_cuda.h"
#include "kernels/anchor_loss_cuda.h"
#include "nn/criterion.h"

namespace ps::nn {
namespace {

using kernels::DetectionResult;
using kernels::TrueBox;

// Boxes on their way to the device: the host may fill one while the device reads the other.
struct Upload {
  explicit Upload(int device) : copied(device) {}

  kernels::PinnedBuffer boxes;
  kernels::Event copied;
};

// The kernels, with memory for that many boxes.
using Make = std::function<std::unique_ptr<kernels::DetectionLossCuda>(std::int64_t boxes)>;

class OnDevice final : public DeviceCriterion {
 public:
  OnDevice(const DetectionHead& head, std::int64_t max_batch, Make make, kernels::StreamView stream)
      : classes_(head.classes),
        max_batch_(max_batch),
        make_(std::move(make)),
        stream_(stream),
        uploads_{Upload(stream.device()), Upload(stream.device())},
        device_result_(stream.device(), sizeof(DetectionResult)),
        result_(sizeof(DetectionResult)) {
    constexpr std::int64_t kUsual = 32;  // boxes of an image
    reserve(max_batch * kUsual);
  }

  void run(const float* output,
           std::int64_t batch,
           std::span<const Target> targets,
           float* gradient) override {
    check_batch(batch, max_batch_);
    const auto count = static_cast<std::int64_t>(targets.size());
    if (count > max_boxes_) reserve(std::max(count, 2 * max_boxes_));
    Upload& upload = uploads_[next_upload_];
    upload.copied.synchronize();
    to_boxes(targets, batch, classes_, upload.boxes.as<TrueBox>());
    if (count > 0) {
      kernels::copy_to_device(boxes_.data(), upload.boxes.as<TrueBox>(), targets.size_bytes(),
                              stream_);
      upload.copied.record(stream_);
      next_upload_ = 1 - next_upload_;
    }
    kernel_->run(output, batch, boxes_.as<TrueBox>(), count, gradient,
                 device_result_.as<DetectionResult>(), stream_);
  }

  DetectionLoss loss() override {
    kernels::copy_to_host(result_.as<DetectionResult>(), device_result_.data(),
                          sizeof(DetectionResult), stream_);
    stream_.synchronize();
    const DetectionResult& result = *result_.as<DetectionResult>();
    return {.box = result.box,
            .objectness = result.objectness,
            .category = result.category,
            .dfl = result.dfl,
            .total = result.total,
            .positives = result.positives};
  }

 private:
  static_assert(sizeof(TrueBox) == sizeof(Target) && std::is_trivially_copyable_v<TrueBox>);

  void reserve(std::int64_t boxes) {
    stream_.synchronize();
    const std::size_t bytes = static_cast<std::size_t>(boxes) * sizeof(TrueBox);
    boxes_ = kernels::DeviceBuffer(stream_.device(), bytes);
    for (Upload& upload : uploads_) upload.boxes = kernels::PinnedBuffer(bytes);
    kernel_.reset();  // before there are two of them
    kernel_ = make_(boxes);
    max_boxes_ = boxes;
  }

  std::int64_t classes_;
  std::int64_t max_batch_;
  Make make_;
  kernels::StreamView stream_;
  std::int64_t max_boxes_ = 0;
  std::array<Upload, 2> uploads_;
  std::size_t next_upload_ = 0;
  kernels::DeviceBuffer boxes_;
  kernels::DeviceBuffer device_result_;
  kernels::PinnedBuffer result_;
  std::unique_ptr<kernels::DetectionLossCuda> kernel_;
};

}  // namespace

std::unique_ptr<DeviceCriterion> device_criterion(const DetectionHead& head,
                                                  const DetectionLossOptions& options,
                                                  std::int64_t max_batch,
                                                  kernels::StreamView stream) {
  check_criterion(head, options, max_batch);
  const auto make = [head, options, max_batch,
                     stream](std::int64_t boxes) -> std::unique_ptr<kernels::DetectionLossCuda> {
    if (head.anchor_free()) {
      return std::make_unique<kernels::AlignedLossCuda>(aligned_levels(head, max_batch),
                                                        aligned_gains(options), input_size(head),
                                                        max_batch, boxes, stream);
    }
    const AnchorLevels levels(head, options, max_batch);
    return std::make_unique<kernels::AnchorLossCuda>(levels.levels, anchor_gains(options),
                                                     max_batch, boxes, stream);
  };
  return std::make_unique<OnDevice>(head, max_batch, make, stream);
}

}  // namespace ps::nn
