#include <cmath>
#include <string>

#include <ps/error.h>
#include <ps/vision/augment.h>

#include "vision/canvas.h"
#include "vision/pixels.h"
#include "vision/sample_maker.h"

namespace ps::vision {

Augmentation Augmentation::none() {
  Augmentation options;
  for (float* value : {&options.hsv_h, &options.hsv_s, &options.hsv_v, &options.translate,
                       &options.scale, &options.fliplr, &options.mosaic}) {
    *value = 0;
  }
  return options;
}

Augmentation Augmentation::without_mixing() const {
  Augmentation options = *this;
  options.mosaic = options.mixup = options.cutmix = options.copy_paste = 0;
  return options;
}

void check(const Augmentation& options) {
  const struct {
    const char* name;
    float value;
    float most;
    bool most_is_in;
  } ranges[] = {
      {"hsv_h", options.hsv_h, 1, true},         {"hsv_s", options.hsv_s, 1, true},
      {"hsv_v", options.hsv_v, 1, true},         {"degrees", options.degrees, 180, true},
      {"translate", options.translate, 1, true}, {"scale", options.scale, 1, false},
      {"shear", options.shear, 90, false},       {"perspective", options.perspective, 0.001F, true},
      {"flipud", options.flipud, 1, true},       {"fliplr", options.fliplr, 1, true},
      {"mosaic", options.mosaic, 1, true},       {"mixup", options.mixup, 1, true},
      {"cutmix", options.cutmix, 1, true},       {"copy_paste", options.copy_paste, 1, true},
  };
  for (const auto& range : ranges) {
    const bool below = range.most_is_in ? range.value <= range.most : range.value < range.most;
    if (range.value >= 0 && below) continue;
    std::string most = std::to_string(range.most);
    most.erase(most.find_last_not_of('0') + 1);
    if (most.back() == '.') most.pop_back();
    throw Error(ErrorCode::kInvalidArgument, std::string("the augmentation's ") + range.name +
                                                 " is to be from 0 to " +
                                                 (range.most_is_in ? "" : "below ") + most +
                                                 "; it is " + std::to_string(range.value));
  }
}

Letterbox letterbox(const Image& image, int height, int width) {
  use_no_threads();
  const ImageSize size{height, width};
  require_size(size, "a letterbox");
  Letterbox result;
  static_cast<LetterboxFrame&>(result) = letterbox_frame({image.height, image.width}, size);
  result.image = make_image(height, width);
  cv::Mat pixels = view(result.image);
  pixels.setTo(cv::Scalar(kGray, kGray, kGray));
  cv::Mat inside =
      pixels(cv::Rect(result.left, result.top, result.inner.width, result.inner.height));
  resize(view(image), result.inner, inside);
  return result;
}

void to_tensor(const Image& image, std::span<float> chw) {
  if (chw.size() != image.pixels.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                "a picture of " + std::to_string(image.height) + " x " +
                    std::to_string(image.width) + " pixels becomes " +
                    std::to_string(image.pixels.size()) + " numbers; there is room for " +
                    std::to_string(chw.size()));
  }
  to_planes(view(image), chw);
}

Sample augmented(const Dataset& data,
                 const SampleKey& key,
                 ImageSize size,
                 const Augmentation& options,
                 std::vector<std::string>* faults) {
  check(options);
  SampleMaker maker(data);
  const Canvas& canvas = maker.make(key, size, options, faults);
  Sample sample;
  sample.image = make_image(size.height, size.width);
  cv::Mat pixels = view(sample.image);
  canvas.pixels.copyTo(pixels);
  sample.labels = to_labels(canvas.objects, size);
  return sample;
}

}  // namespace ps::vision
