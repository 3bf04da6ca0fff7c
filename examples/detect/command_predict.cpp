// `detect predict`: boxes on pictures and videos.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ps/error.h>
#include <ps/vision/augment.h>
#include <ps/vision/draw.h>
#include <ps/vision/source.h>

#include "commands.h"
#include "device.h"
#include "found.h"
#include "inference.h"
#include "network.h"
#include "run_folder.h"

namespace detect {
namespace {

namespace fs = std::filesystem;
using ps::vision::Frame;
using ps::vision::Image;

// The box's part of the picture; empty where it has less than a pixel.
Image crop(const Image& image, const ps::nn::Detection& box) {
  const int left = std::clamp(static_cast<int>(box.x1), 0, image.width);
  const int top = std::clamp(static_cast<int>(box.y1), 0, image.height);
  const int right = std::clamp(static_cast<int>(box.x2), left, image.width);
  const int bottom = std::clamp(static_cast<int>(box.y2), top, image.height);
  Image piece = ps::vision::make_image(bottom - top, right - left);
  const auto row_bytes = static_cast<std::ptrdiff_t>(right - left) * 3;
  for (int row = top; row < bottom; ++row) {
    const auto from = image.pixels.begin() + (std::ptrdiff_t{row} * image.width + left) * 3;
    std::copy(from, from + row_bytes, piece.pixels.begin() + (row - top) * row_bytes);
  }
  return piece;
}

class Prediction {
 public:
  explicit Prediction(const PredictOptions& options)
      : options_(options),
        trained_(load_ensemble(options.inference, 1, choose_compute(options.inference.compute, 0))),
        network_(*trained_.front().network),
        inference_(
            networks_of(trained_), nms_options(options.inference), options.inference.augment),
        folder_(make_run_folder(
            options.inference.project, options.inference.name, options.inference.exist_ok)),
        writer_(folder_,
                {.text = options.save_txt,
                 .confidence = options.save_conf,
                 .json = options.save_json,
                 .csv = options.save_csv}) {}

  int run(bool json) {
    ps::vision::FrameSource source(options_.sources);
    int failures = 0;
    for (bool more = true; more;) {
      try {
        const std::optional<Frame> frame = source.next();
        more = frame.has_value();
        if (frame) look_at(*frame);
      } catch (const ps::Error& error) {
        std::fprintf(stderr, "detect: %s\n", error.what());
        ++failures;
      }
    }
    video_.reset();
    writer_.finish();
    const double images = std::max<double>(static_cast<double>(images_), 1.0);
    std::printf("Speed: %.2f ms network, %.2f ms NMS an image\n",
                1e3 * inference_.network_seconds() / images,
                1e3 * inference_.nms_seconds() / images);
    std::printf("%zu images, %zu objects; results are in %s\n", images_, objects_, folder_.c_str());
    if (json) {
      std::printf("{\"images\": %zu, \"objects\": %zu, \"unreadable\": %d, \"folder\": \"%s\"}\n",
                  images_, objects_, failures, folder_.c_str());
    }
    return failures == 0 ? 0 : 1;
  }

 private:
  void look_at(const Frame& frame) {
    const int side = network_.spec().image_size;
    const ps::vision::Letterbox box = ps::vision::letterbox(frame.image, side, side);
    tensor_.resize(3 * static_cast<std::size_t>(side) * static_cast<std::size_t>(side));
    ps::vision::to_tensor(box.image, tensor_);
    std::vector<ps::nn::Detection> boxes = inference_.run(tensor_, 1, {side, side}).front();
    for (ps::nn::Detection& each : boxes) each = in_source(box, each);
    ++images_;
    objects_ += boxes.size();
    tell(frame, boxes);
    const std::string stem = fs::path(frame.path).stem().string();
    const std::string name = frame.video ? stem + "_" + std::to_string(frame.number)
                                         : fs::path(frame.path).filename().string();
    writer_.add(name, {frame.image.height, frame.image.width}, boxes, network_.spec().names);
    if (options_.save_crop) save_crops(frame, boxes, name);
    if (options_.save_images) save_picture(frame, boxes);
  }

  void tell(const Frame& frame, const std::vector<ps::nn::Detection>& boxes) const {
    std::vector<int> counts(network_.spec().names.size());
    for (const ps::nn::Detection& each : boxes) ++counts[static_cast<std::size_t>(each.category)];
    std::string text;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == 0) continue;
      text +=
          (text.empty() ? "" : ", ") + std::to_string(counts[i]) + " " + network_.spec().names[i];
    }
    std::printf("%s%s: %dx%d %s\n", frame.path.c_str(),
                frame.video ? (" frame " + std::to_string(frame.number)).c_str() : "",
                frame.image.width, frame.image.height, text.empty() ? "nothing" : text.c_str());
  }

  void save_picture(const Frame& frame, const std::vector<ps::nn::Detection>& boxes) {
    Image drawn = frame.image;
    std::vector<ps::vision::DrawnBox> shown =
        ps::vision::boxes_of(boxes, network_.spec().names, 0.0F);
    for (ps::vision::DrawnBox& box : shown) {
      if (options_.hide_labels) box.caption.clear();
      if (options_.hide_conf)
        box.caption.resize(std::min(box.caption.size(), box.caption.rfind(' ')));
    }
    ps::vision::draw_boxes(drawn, shown);
    const fs::path path = fs::path(folder_) / fs::path(frame.path).filename();
    if (!frame.video) return ps::vision::write_image(path.string(), drawn);
    if (frame.number == 0) {
      video_ = std::make_unique<ps::vision::VideoWriter>(
          fs::path(path).replace_extension(".mp4").string(), drawn.height, drawn.width, frame.fps);
    }
    if (video_) video_->add(drawn);
  }

  void save_crops(const Frame& frame,
                  const std::vector<ps::nn::Detection>& boxes,
                  const std::string& name) const {
    int number = 0;
    for (const ps::nn::Detection& each : boxes) {
      const fs::path folder = fs::path(folder_) / "crops" /
                              network_.spec().names[static_cast<std::size_t>(each.category)];
      fs::create_directories(folder);
      const Image piece = crop(frame.image, each);
      if (piece.pixels.empty()) continue;
      ps::vision::write_image(
          (folder / (fs::path(name).stem().string() + "_" + std::to_string(number++) + ".jpg"))
              .string(),
          piece);
    }
  }

  const PredictOptions& options_;
  const std::vector<Trained> trained_;
  Network& network_;
  Inference inference_;
  const std::string folder_;
  FoundWriter writer_;
  std::vector<float> tensor_;
  std::unique_ptr<ps::vision::VideoWriter> video_;
  std::size_t images_ = 0;
  std::size_t objects_ = 0;
};

}  // namespace

int run_predict(const Options& options) {
  return Prediction(options.predict).run(options.json);
}

}  // namespace detect
