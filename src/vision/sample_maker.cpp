#include "vision/sample_maker.h"

#include <utility>

#include <ps/error.h>

namespace ps::vision {

namespace {

enum Stage : std::uint32_t { kMosaic, kCopyPaste, kView, kMixup, kCutmix, kColor, kFlips, kStages };

// Which of the pictures in a sample: a picture that is mixed in draws numbers of its own.
constexpr std::uint32_t kOwn = 0;
constexpr std::uint32_t kMixupOther = 1;
constexpr std::uint32_t kCutmixOther = 2;

constexpr int kMixupBeta = 32;

// "augment": keeps these numbers apart from others drawn from the same seed.
constexpr std::uint64_t kPurpose = 0x6175676D656E74;

Random numbers(const SampleKey& key, Stage stage, std::uint32_t lane) {
  const std::uint64_t place = std::uint64_t{lane * kStages + stage} << 32 | key.epoch;
  const std::array<std::uint32_t, 4> words = philox(key.seed ^ kPurpose, key.index, place);
  return Random(std::uint64_t{words[0]} << 32 | words[1], std::uint64_t{words[2]} << 32 | words[3]);
}

Sample gray(ImageSize size) {
  Sample sample;
  sample.image = make_image(size.height, size.width);
  sample.image.pixels.assign(sample.image.pixels.size(), kGray);
  return sample;
}

}  // namespace

SampleMaker::SampleMaker(const Dataset& data) : data_(data) {
  use_no_threads();
}

Sample SampleMaker::load(const Task& task, std::size_t index) const {
  try {
    Sample sample = data_.load(index);
    const Image& image = sample.image;
    if (image.height <= 0 || image.width <= 0 ||
        image.pixels.size() != std::size_t{3} * static_cast<std::size_t>(image.height) *
                                   static_cast<std::size_t>(image.width)) {
      throw Error(ErrorCode::kCorrupt, data_.source(index) + ": the data set gave a picture of " +
                                           std::to_string(image.height) + " x " +
                                           std::to_string(image.width) + " pixels with " +
                                           std::to_string(image.pixels.size()) + " bytes");
    }
    return sample;
  } catch (const Error& error) {
    const bool unreadable = error.code() == ErrorCode::kIo || error.code() == ErrorCode::kCorrupt;
    if (!unreadable || task.faults == nullptr) throw;
    task.faults->emplace_back(error.what());
    return gray(task.size);
  }
}

std::size_t SampleMaker::any_index(Random& random) const {
  return static_cast<std::size_t>(random.below(data_.size()));
}

LetterboxFrame SampleMaker::mosaic_of(const Task& task, std::size_t index, Random& random) {
  const auto within = [&random](int side) {  // from half of it to three halves
    return side / 2 + static_cast<int>(random.below(static_cast<std::uint64_t>(side) + 1));
  };
  MosaicCenter center;
  center.x = within(task.size.width);
  center.y = within(task.size.height);
  std::array<Sample, 4> samples;
  samples[0] = load(task, index);
  for (std::size_t i = 1; i < samples.size(); ++i) samples[i] = load(task, any_index(random));
  mosaic(samples, task.size, center, scene_);
  return letterbox_frame({samples[0].image.height, samples[0].image.width}, task.size);
}

void SampleMaker::compose(const Task& task, std::size_t index, std::uint32_t lane, Canvas& result) {
  Random for_mosaic = numbers(task.key, kMosaic, lane);
  const bool is_mosaic = for_mosaic.chance(task.options.mosaic);
  const LetterboxFrame frame =
      is_mosaic ? mosaic_of(task, index, for_mosaic) : place(load(task, index), task.size, scene_);
  if (lane == kOwn) frame_ = frame;
  if (task.options.copy_paste > 0) {
    Random for_paste = numbers(task.key, kCopyPaste, lane);
    copy_paste(for_paste, task.options.copy_paste, scene_);
  }
  if (!is_mosaic && view_is_fixed(task.options)) {
    std::swap(scene_, result);
    return;
  }
  Random for_view = numbers(task.key, kView, lane);
  change_view(draw_view(for_view, task.options), scene_, task.size, result);
}

const Canvas& SampleMaker::make(const SampleKey& key,
                                ImageSize size,
                                const Augmentation& options,
                                std::vector<std::string>* faults) {
  require_size(size, "a training sample");
  if (key.index >= data_.size()) {
    throw Error(ErrorCode::kInvalidArgument, "picture " + std::to_string(key.index) +
                                                 " was asked for; the data set has " +
                                                 std::to_string(data_.size()));
  }
  const Task task{key, size, options, faults};
  compose(task, key.index, kOwn, result_);

  Random for_mixup = numbers(key, kMixup, kOwn);
  if (for_mixup.chance(options.mixup)) {
    const std::size_t other = any_index(for_mixup);
    const double share = symmetric_beta(for_mixup, kMixupBeta);
    compose(task, other, kMixupOther, other_);
    mix(share, other_, result_);
  }
  Random for_cutmix = numbers(key, kCutmix, kOwn);
  if (for_cutmix.chance(options.cutmix)) {
    const Cut cut = draw_cut(for_cutmix, result_);
    const std::size_t other = any_index(for_cutmix);
    if (cut.x1 < cut.x2) {  // else nothing of it would be seen
      compose(task, other, kCutmixOther, other_);
      paste_cut(cut, other_, result_);
    }
  }
  Random for_color = numbers(key, kColor, kOwn);
  std::array<double, 3> gains{options.hsv_h, options.hsv_s, options.hsv_v};
  for (double& gain : gains) gain = 1 + for_color.uniform(-1, 1) * gain;
  recolor(gains, result_.pixels);

  Random for_flips = numbers(key, kFlips, kOwn);
  if (for_flips.chance(options.flipud)) flip_vertically(result_);
  if (for_flips.chance(options.fliplr)) flip_horizontally(result_);
  return result_;
}

}  // namespace ps::vision
