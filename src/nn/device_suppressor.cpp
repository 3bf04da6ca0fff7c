// All images go through each step together, but for decoding: their rows would be the largest of
// all memory, so that it takes a group of images at a time. The host waits twice: for the numbers
// of candidates, by which it launches the rest, and for the boxes.
#include "nn/device_suppressor.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>

#include "kernels/detection_cuda.h"
#include "nn/decode.h"
#include "nn/suppress.h"

namespace ps::nn {
namespace {

using kernels::DeviceBuffer;
using kernels::PinnedBuffer;
using kernels::ScoredBox;

// Of an image, at most.
constexpr std::int64_t kMostKeys = std::int64_t{1} << 16;

std::size_t bytes(std::int64_t count, std::size_t size) {
  return static_cast<std::size_t>(count) * size;
}

std::int64_t keys_of(const DetectionHead& head, const NmsOptions& options) {
  const std::int64_t possible = head.candidates() * (options.multi_label ? head.classes : 1);
  const std::int64_t wanted = std::min({options.max_candidates, possible, kMostKeys});
  return static_cast<std::int64_t>(
      std::bit_ceil(static_cast<std::uint64_t>(std::max(wanted, kernels::kSortedKeys))));
}

class OnDevice final : public DeviceSuppressor {
 public:
  OnDevice(const DetectionHead& head,
           const NmsOptions& options,
           kernels::StreamView stream,
           std::int64_t decoded_bytes)
      : head_(head),
        options_(options),
        stream_(stream),
        decoded_bytes_(decoded_bytes),
        wanted_(stream.device(), bytes(head.classes, 1)) {
    candidates_.rows = head.candidates();
    candidates_.classes = head.classes;
    candidates_.room = keys_of(head, options);
    boxes_.room = std::min(options.max_candidates, candidates_.room);
    kept_room_ = std::min(options.max_detections, boxes_.room);
    std::vector<std::uint8_t> wanted(static_cast<std::size_t>(head.classes),
                                     options.classes.empty() ? 1 : 0);
    for (const std::int32_t category : options.classes) {
      wanted[static_cast<std::size_t>(category)] = 1;
    }
    kernels::copy_to_device(wanted_.data(), wanted.data(), wanted.size(), stream);
    stream.synchronize();
  }

  void run(const float* output, std::span<std::vector<Detection>> boxes) override {
    for (std::vector<Detection>& each : boxes) each.clear();
    if (kept_room_ == 0 || boxes.empty()) return;
    const std::int64_t batch = std::ssize(boxes);
    if (batch > max_batch_) reserve(batch);
    find(output, batch);
    const std::span<const std::int32_t> found(found_.as<std::int32_t>(), boxes.size());
    std::int64_t most = 0;
    for (const std::int32_t count : found) {
      if (count <= candidates_.room) most = std::max<std::int64_t>(most, count);
    }
    const std::int64_t kept_room = std::min(kept_room_, most);
    if (most > 0) keep(batch, most, kept_room);
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      const auto image = static_cast<std::int64_t>(i);
      if (found[i] > candidates_.room) {
        on_host(output + image * head_.size(), boxes[i]);
      } else if (found[i] > 0) {
        const ScoredBox* first = kept_.as<ScoredBox>() + image * kept_room;
        std::transform(first, first + kept_counts_.as<std::int32_t>()[i],
                       std::back_inserter(boxes[i]), [](const ScoredBox& box) {
                         return Detection{box.at.x1, box.at.y1, box.at.x2,
                                          box.at.y2, box.score, box.category};
                       });
      }
    }
  }

 private:
  void reserve(std::int64_t batch) {
    stream_.synchronize();
    const int device = stream_.device();
    const auto on_device = [device](std::int64_t count, std::size_t size) {
      return DeviceBuffer(device, bytes(count, size));
    };
    const std::int64_t row_bytes =
        candidates_.rows * head_.row_floats() * static_cast<std::int64_t>(sizeof(float));
    group_ = std::clamp<std::int64_t>(decoded_bytes_ / row_bytes, 1, batch);
    rows_ = on_device(group_, static_cast<std::size_t>(row_bytes));
    corners_ = on_device(batch * candidates_.rows, sizeof(kernels::Corners));
    keys_ = on_device(batch * candidates_.room, sizeof(std::uint64_t));
    device_boxes_ = on_device(batch * boxes_.room, sizeof(ScoredBox));
    device_kept_ = on_device(batch * kept_room_, sizeof(ScoredBox));
    counts_ = on_device(3 * batch, sizeof(std::int32_t));
    workspace_ =
        on_device(1, static_cast<std::size_t>(kernels::nms_cuda_workspace(batch, kept_room_)));
    found_ = PinnedBuffer(bytes(batch, sizeof(std::int32_t)));
    kept_counts_ = PinnedBuffer(bytes(batch, sizeof(std::int32_t)));
    kept_ = PinnedBuffer(bytes(batch * kept_room_, sizeof(ScoredBox)));
    candidates_.corners = corners_.as<kernels::Corners>();
    candidates_.keys = keys_.as<std::uint64_t>();
    candidates_.counts = counts_.as<std::int32_t>();
    boxes_.boxes = device_boxes_.as<ScoredBox>();
    boxes_.counts = counts_.as<std::int32_t>() + batch;
    max_batch_ = batch;
  }

  void decode_group(const float* output, std::int64_t images) {
    const std::int64_t row_floats = head_.row_floats();
    const auto decode_level =
        head_.anchor_free() ? kernels::decode_distances_cuda : kernels::decode_anchors_cuda;
    for_decoded_levels(head_, images,
                       [&](const kernels::GridLevel& level, std::int64_t stride,
                           std::int64_t offset, std::int64_t first_row) {
                         const kernels::DecodedRows to{
                             .first = rows_.as<float>() + first_row * row_floats,
                             .sample_floats = candidates_.rows * row_floats};
                         decode_level(level, stride, output + offset, to, stream_);
                       });
  }

  // Every image's candidates, and their number on the host.
  void find(const float* output, std::int64_t batch) {
    const std::size_t count_bytes = bytes(batch, sizeof(std::int32_t));
    kernels::fill_zero(candidates_.counts, count_bytes, stream_);
    for (std::int64_t first = 0; first < batch; first += group_) {
      const std::int64_t images = std::min(group_, batch - first);
      decode_group(output + first * head_.size(), images);
      kernels::Candidates group = candidates_;
      group.keys += first * group.room;
      group.corners += first * group.rows;
      group.counts += first;
      kernels::select_cuda({.rows = rows_.as<float>(),
                            .wanted = wanted_.as<std::uint8_t>(),
                            .confidence = options_.confidence,
                            .has_objectness = static_cast<std::uint16_t>(!head_.anchor_free()),
                            .multi_label = static_cast<std::uint16_t>(options_.multi_label)},
                           images, group, stream_);
    }
    kernels::copy_to_host(found_.as<std::int32_t>(), candidates_.counts, count_bytes, stream_);
    stream_.synchronize();
  }

  // Which of them stay, on the host; most: of an image. kept_room: of an image in kept_.
  void keep(std::int64_t batch, std::int64_t most, std::int64_t kept_room) {
    kernels::sort_cuda(candidates_, batch, most, stream_);
    kernels::gather_cuda(candidates_, batch, boxes_, stream_);
    const kernels::SortedBoxes kept{.room = kept_room,
                                    .boxes = device_kept_.as<ScoredBox>(),
                                    .counts = counts_.as<std::int32_t>() + 2 * max_batch_};
    kernels::nms_cuda({.boxes = boxes_,
                       .threshold = options_.iou,
                       .agnostic = options_.agnostic ? 1 : 0,
                       .kept = kept,
                       .workspace = workspace_.data()},
                      batch, std::min(most, boxes_.room), stream_);
    kernels::copy_to_host(kept_counts_.as<std::int32_t>(), kept.counts,
                          bytes(batch, sizeof(std::int32_t)), stream_);
    kernels::copy_to_host(kept_.as<ScoredBox>(), kept.boxes,
                          bytes(batch * kept_room, sizeof(ScoredBox)), stream_);
    stream_.synchronize();
  }

  // One image with more candidates than there is room for.
  void on_host(const float* output, std::vector<Detection>& boxes) {
    sample_.resize(static_cast<std::size_t>(head_.size()));
    host_rows_.resize(static_cast<std::size_t>(head_.candidates() * head_.row_floats()));
    kernels::copy_to_host(sample_.data(), output, sample_.size() * sizeof(float), stream_);
    stream_.synchronize();
    decode(head_, sample_, 1, host_rows_);
    boxes = suppress(host_rows_, head_.classes, !head_.anchor_free(), options_);
  }

  const DetectionHead head_;
  const NmsOptions options_;
  kernels::StreamView stream_;
  const std::int64_t decoded_bytes_;
  DeviceBuffer wanted_;
  std::int64_t kept_room_ = 0;  // at most, of an image

  // For max_batch_ images, rows_ for a group of them.
  std::int64_t max_batch_ = 0;
  std::int64_t group_ = 0;
  kernels::Candidates candidates_;
  kernels::SortedBoxes boxes_;
  DeviceBuffer rows_;
  DeviceBuffer corners_;
  DeviceBuffer keys_;
  DeviceBuffer device_boxes_;
  DeviceBuffer device_kept_;
  DeviceBuffer counts_;  // found, sorted, kept
  DeviceBuffer workspace_;
  PinnedBuffer found_;
  PinnedBuffer kept_counts_;
  PinnedBuffer kept_;

  std::vector<float> sample_;
  std::vector<float> host_rows_;
};

}  // namespace

std::unique_ptr<DeviceSuppressor> device_suppressor(const DetectionHead& head,
                                                    const NmsOptions& options,
                                                    kernels::StreamView stream,
                                                    std::int64_t decoded_bytes) {
  check_nms_options(options, head.classes);
  if (head.candidates() * head.classes > std::numeric_limits<std::int32_t>::max()) return nullptr;
  return std::make_unique<OnDevice>(head, options, stream, decoded_bytes);
}

}  // namespace ps::nn
