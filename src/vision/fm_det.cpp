// FM-Det as a data set and as files.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <string_view>

#include <ps/error.h>
#include <ps/vision/fm_det.h>

#include "vision/bytes.h"
#include "vision/fm_det_scene.h"
#include "vision/parallel.h"

namespace ps::vision {
namespace {

constexpr std::string_view kName = "fm-det";
constexpr std::size_t kMaxPictures = std::size_t{1} << 28;

[[noreturn]] void refuse(const std::string& text) {
  throw Error(ErrorCode::kInvalidArgument, "fm-det: " + text);
}

void check(const FmDetOptions& options) {
  if (options.classes != 5 && options.classes != 10) {
    refuse("expected 5 or 10 classes, got " + std::to_string(options.classes));
  }
  if (options.size < 32 || options.size > 2048) {
    refuse("expected a size of 32 to 2048 pixels, got " + std::to_string(options.size));
  }
  const std::size_t fewest = std::min(options.count, options.val);
  if (fewest == 0 || std::max(options.count, options.val) > kMaxPictures) {
    refuse("expected 1 to 2^28 pictures in each split, got count=" + std::to_string(options.count) +
           " and val=" + std::to_string(options.val));
  }
}

// Labels are found without drawing, a block of pictures at a time, when one of them is asked for.
class FmDet final : public Dataset {
 public:
  FmDet(const FmDetOptions& options, Split split)
      : split_(split),
        seed_(options.seed),
        size_(options.size),
        count_(split == Split::kTrain ? options.count : options.val),
        names_(fm_det_names(options.classes)),
        photos_(options.share, split, options.size),
        garments_(options.share, split, options.classes),
        blocks_((count_ + kBlock - 1) / kBlock) {}

  [[nodiscard]] std::size_t size() const override { return count_; }
  [[nodiscard]] const std::vector<std::string>& names() const override { return names_; }

  [[nodiscard]] Sample load(std::size_t index) const override {
    const SceneKey key = key_of(index);
    const std::vector<Piece> pieces = plan_scene(garments_, key, size_);
    return {draw_scene(photos_, key, pieces, size_), scene_labels(pieces, size_)};
  }

  [[nodiscard]] std::span<const Label> labels(std::size_t index) const override {
    (void)key_of(index);
    Block& block = blocks_[index / kBlock];
    std::call_once(block.once, [&] {
      const std::size_t first = index / kBlock * kBlock;
      for (std::size_t i = first; i < std::min(first + kBlock, count_); ++i) {
        block.labels.push_back(scene_labels(plan_scene(garments_, key_of(i), size_), size_));
      }
    });
    return block.labels[index % kBlock];
  }

  [[nodiscard]] std::string source(std::size_t index) const override {
    return std::string(kName) + " " + to_string(split_) + " " + std::to_string(index);
  }

 private:
  static constexpr std::size_t kBlock = 64;
  struct Block {
    std::once_flag once;
    std::vector<std::vector<Label>> labels;
  };

  [[nodiscard]] SceneKey key_of(std::size_t index) const {
    if (index >= count_) {
      refuse("picture " + std::to_string(index) + " of " + std::to_string(count_));
    }
    return {seed_, split_, index};
  }

  Split split_;
  std::uint64_t seed_;
  int size_;
  std::size_t count_;
  std::vector<std::string> names_;
  Photos photos_;
  Garments garments_;
  mutable std::vector<Block> blocks_;
};

// A number in full, or an error that names the key.
template <class Number>
Number number(std::string_view key, std::string_view text) {
  Number value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) {
    refuse("expected a number for " + std::string(key) + ", got \"" + std::string(text) + "\"");
  }
  return value;
}

void set(FmDetOptions& options, std::string_view key, std::string_view value) {
  if (key == "count") {
    options.count = number<std::size_t>(key, value);
  } else if (key == "val") {
    options.val = number<std::size_t>(key, value);
  } else if (key == "size") {
    options.size = number<int>(key, value);
  } else if (key == "classes") {
    options.classes = number<int>(key, value);
  } else if (key == "seed") {
    options.seed = number<std::uint64_t>(key, value);
  } else {
    refuse("expected key=value with the keys count, val, size, classes and seed, got \"" +
           std::string(key) + "\"");
  }
}

void write_text(const std::string& path, const std::string& text) {
  std::vector<std::uint8_t> bytes(text.begin(), text.end());
  if (!replace_file(path, bytes)) {
    throw Error(ErrorCode::kIo, "cannot write " + path + ": " + std::strerror(errno));
  }
}

// The shortest text that reads back as the same number.
void append(std::string& text, float value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  text.append(" ").append(digits.data(), end);
}

void write_sample(const std::string& folder, Split split, std::size_t index, const Sample& sample) {
  std::string name = std::to_string(index);
  name.insert(0, 6 - std::min<std::size_t>(6, name.size()), '0');
  const std::string place = std::string("/") + to_string(split) + "/" + name;
  write_image(folder + "/images" + place + ".png", sample.image);
  std::string text;
  for (const Label& label : sample.labels) {
    text += std::to_string(label.category);
    for (const float value : {label.x, label.y, label.width, label.height}) append(text, value);
    text += '\n';
  }
  write_text(folder + "/labels" + place + ".txt", text);
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw Error(ErrorCode::kIo, "cannot make the folder " + path + ": " + error.message());
}

}  // namespace

bool is_fm_det(const std::string& data) noexcept {
  return data == kName || data.compare(0, kName.size() + 1, "fm-det:") == 0;
}

FmDetOptions parse_fm_det(const std::string& data) {
  if (!is_fm_det(data)) refuse("expected fm-det or fm-det:key=value,..., got \"" + data + "\"");
  FmDetOptions options;
  std::string_view rest = std::string_view(data).substr(std::min(data.size(), kName.size() + 1));
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) {
      refuse("expected key=value, got \"" + std::string(item) + "\"");
    }
    set(options, item.substr(0, equals), item.substr(equals + 1));
  }
  check(options);
  return options;
}

std::unique_ptr<Dataset> open_fm_det(const FmDetOptions& options, Split split) {
  check(options);
  return std::make_unique<FmDet>(options, split);
}

void make_fm_det(const std::string& folder,
                 const FmDetOptions& options,
                 const std::function<void(std::size_t, std::size_t)>& progress) {
  const std::unique_ptr<Dataset> train = open_fm_det(options, Split::kTrain);
  const std::unique_ptr<Dataset> val = open_fm_det(options, Split::kVal);
  for (const char* part : {"/images/train", "/images/val", "/labels/train", "/labels/val"}) {
    make_folder(folder + part);
  }
  const auto write = [&](std::size_t i) {
    if (i < train->size()) {
      write_sample(folder, Split::kTrain, i, train->load(i));
    } else {
      write_sample(folder, Split::kVal, i - train->size(), val->load(i - train->size()));
    }
  };
  for_each_index(train->size() + val->size(), 0, write, progress);
  std::string text = "# FM-Det, generated: size=" + std::to_string(options.size) +
                     ", seed=" + std::to_string(options.seed) +
                     "\ntrain: images/train\nval: images/val\nnames:\n";
  for (std::size_t i = 0; i < train->names().size(); ++i) {
    text += "  " + std::to_string(i) + ": " + train->names()[i] + "\n";
  }
  write_text(folder + "/data.yaml", text);
}

}  // namespace ps::vision
