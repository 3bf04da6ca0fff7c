// The handler knows where it is by the depth, the top-level key and the item's key:
//   {"images": [{"id": 1, ...}], "annotations": [{"bbox": [..], "segmentation": [[..], ..]}]}
//   depth 1     2 3                                       4                      4 5
#include "vision/coco_json.h"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include <ps/error.h>

#include "vision/bytes.h"

namespace ps::vision {
namespace {

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{4} << 30;
constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxItems = std::size_t{1} << 25;

class Handler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Handler(CocoFile& file) : file_(file) {}
  [[nodiscard]] const std::string& why() const { return why_; }

  bool null() override { return true; }
  bool boolean(bool value) override { return take(value ? 1 : 0); }
  bool number_integer(number_integer_t value) override { return take_id(value); }
  bool number_unsigned(number_unsigned_t value) override {
    constexpr auto kMost = static_cast<number_unsigned_t>(INT64_MAX);
    return take_id(static_cast<std::int64_t>(std::min(value, kMost)));
  }
  bool number_float(number_float_t value, const string_t& text) override {
    (void)text;
    return take(value);
  }
  bool string(string_t& value) override {
    if (depth_ != 3) return true;
    if (section_ == Section::kImages && field_ == "file_name") image_.file = value;
    if (section_ == Section::kCategories && field_ == "name") category_.name = value;
    return true;
  }
  bool binary(binary_t& value) override {
    (void)value;
    return true;
  }
  bool start_object(std::size_t elements) override {
    (void)elements;
    if (!enter(false)) return false;
    if (depth_ == 3 && is_array_[1]) {
      image_ = {};
      annotation_ = {};
      category_ = {};
      field_.clear();
    }
    return true;
  }
  bool key(string_t& value) override {
    if (depth_ == 1) section_ = section_of(value);
    if (depth_ == 3) field_ = value;
    return true;
  }
  bool end_object() override {
    if (depth_ == 3 && is_array_[1]) {
      if (++items_ > kMaxItems) {
        why_ = "more than 2^25 items";
        return false;
      }
      if (section_ == Section::kImages) file_.images.push_back(std::move(image_));
      if (section_ == Section::kAnnotations) file_.annotations.push_back(std::move(annotation_));
      if (section_ == Section::kCategories) file_.categories.push_back(std::move(category_));
    }
    --depth_;
    return true;
  }
  bool start_array(std::size_t elements) override {
    (void)elements;
    part_.clear();
    return enter(true);
  }
  bool end_array() override {
    if (in_polygon() && part_.size() > annotation_.polygon.size()) {
      annotation_.polygon = std::move(part_);
      part_ = {};
    }
    --depth_;
    return true;
  }
  bool parse_error(std::size_t position,
                   const std::string& token,
                   const nlohmann::detail::exception& error) override {
    (void)position;
    (void)token;
    why_ = error.what();
    return false;
  }

 private:
  enum class Section { kOther, kImages, kAnnotations, kCategories };

  static Section section_of(const std::string& key) {
    if (key == "images") return Section::kImages;
    if (key == "annotations") return Section::kAnnotations;
    return key == "categories" ? Section::kCategories : Section::kOther;
  }

  bool enter(bool is_array) {
    if (depth_ == kMaxDepth) {
      why_ = "values nest deeper than 32";
      return false;
    }
    is_array_.at(depth_++) = is_array;
    return true;
  }
  [[nodiscard]] bool in_polygon() const {
    return section_ == Section::kAnnotations && depth_ == 5 && is_array_[3] && is_array_[4] &&
           field_ == "segmentation";
  }

  bool take_id(std::int64_t value) {
    if (depth_ == 3 && field_ == "id") image_.id = category_.id = value;
    if (depth_ == 3 && field_ == "image_id") annotation_.image = value;
    if (depth_ == 3 && field_ == "category_id") annotation_.category = value;
    if (depth_ == 3 && field_ == "height") image_.height = value;
    if (depth_ == 3 && field_ == "width") image_.width = value;
    return take(static_cast<double>(value));
  }
  bool take(double value) {
    if (depth_ == 3 && field_ == "iscrowd") annotation_.crowd = value != 0;
    if (in_polygon()) {
      part_.push_back(static_cast<float>(value));
    } else if (depth_ == 4 && is_array_[3] && field_ == "bbox" &&
               section_ == Section::kAnnotations && annotation_.box.size() < 5) {
      annotation_.box.push_back(value);
    }
    return true;
  }

  CocoFile& file_;
  std::string why_;
  std::size_t depth_ = 0;
  std::size_t items_ = 0;
  std::array<bool, kMaxDepth> is_array_{};  // of the levels down to depth_
  Section section_ = Section::kOther;
  std::string field_;  // the item's key
  CocoImage image_;
  CocoAnnotation annotation_;
  CocoCategory category_;
  std::vector<float> part_;
};

}  // namespace

CocoFile read_coco(const std::string& path) {
  const std::vector<std::uint8_t> bytes = read_file(path, kMaxFileBytes);
  CocoFile file;
  Handler handler(file);
  if (!nlohmann::json::sax_parse(bytes.begin(), bytes.end(), &handler)) {
    throw Error(ErrorCode::kCorrupt, path + ": no COCO annotations: " + handler.why());
  }
  return file;
}

}  // namespace ps::vision
