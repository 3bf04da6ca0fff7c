// One entry at a time, so that entries can be shared out among threads.
#include "vision/scan.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <ps/error.h>

#include "vision/bytes.h"
#include "vision/label_file.h"
#include "vision/parallel.h"
#include "vision/paths.h"
#include "vision/picture_file.h"
#include "vision/scan_cache.h"

namespace ps::vision {
namespace {

constexpr std::uint64_t kMaxLabelBytes = std::uint64_t{1} << 24;

std::string sides(std::int64_t width, std::int64_t height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

std::optional<PictureSize> check_picture(const std::string& path, std::string* why) {
  try {
    FileBytes file(path);
    const std::optional<PictureSize> size = probe_picture(file, why);
    if (size && std::min(size->height, size->width) < kSmallestSide) {
      *why = path + ": a picture of " + sides(size->width, size->height) +
             " pixels; expected 10 a side or more";
      return std::nullopt;
    }
    if (!size) *why = path + ": " + *why;
    return size;
  } catch (const Error& error) {
    *why = error.what();
    return std::nullopt;
  }
}

void read_rows(const Entry& entry, std::size_t classes, Record& record) {
  if (!exists(entry.label_file)) return;  // a background
  std::vector<std::uint8_t> bytes;
  try {
    bytes = read_file(entry.label_file, kMaxLabelBytes);
  } catch (const Error& error) {
    record.faults.add(error.what());
    record.usable = false;
    return;
  }
  LabelRows rows =
      parse_label_rows({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, classes);
  if (!rows.wrong.empty()) {
    record.faults.add(entry.label_file + ":" + rows.wrong);
    record.usable = false;
  } else if (rows.repeated > 0) {
    record.faults.add(entry.label_file + ": " + std::to_string(rows.repeated) +
                      " repeated rows left out");
  }
  record.labels = std::move(rows.labels);
}

// The part of [begin, begin + length] in [0, size], as center and length of `size`; false when
// there is none.
bool clip(double begin, double length, double size, float& center, float& part) {
  const double low = std::clamp(begin, 0.0, size);
  const double high = std::clamp(begin + length, 0.0, size);
  center = static_cast<float>((low + high) / 2 / size);
  part = static_cast<float>((high - low) / size);
  return part > 0;
}

// A box in pixels as a label; nothing when no part of it can be used. What is wrong goes to
// `fault`.
std::optional<Label> to_label(const PixelBox& box, const PictureSize& size, std::string* fault) {
  if (!(box.width > 0 && box.height > 0)) {
    *fault = "an empty box, " + std::to_string(box.width) + " by " + std::to_string(box.height) +
             ", left out";
    return std::nullopt;
  }
  Label label;
  label.category = box.category;
  if (!clip(box.left, box.width, size.width, label.x, label.width) ||
      !clip(box.top, box.height, size.height, label.y, label.height)) {
    *fault = "a box outside of the picture, left out";
    return std::nullopt;
  }
  // Up to a pixel is rounding.
  const bool beyond = box.left < -1 || box.top < -1 || box.left + box.width > size.width + 1.0 ||
                      box.top + box.height > size.height + 1.0;
  if (beyond) *fault = "a box that reaches beyond the picture, cut";
  const std::size_t pairs = box.polygon.size() / 2;
  if (pairs < 3) return label;
  for (std::size_t i = 0; i < 2 * pairs; ++i) {
    const auto side = static_cast<float>(i % 2 == 0 ? size.width : size.height);
    label.polygon.push_back(std::clamp(box.polygon[i] / side, 0.0F, 1.0F));
  }
  return label;
}

void convert_boxes(const Entry& entry, const PictureSize& size, Record& record) {
  const bool declared = entry.declared_height > 0 && entry.declared_width > 0;
  if (declared && (entry.declared_height != size.height || entry.declared_width != size.width)) {
    record.faults.add(entry.image + ": a picture of " + sides(size.width, size.height) +
                      " pixels, but " + entry.annotation + " says " +
                      sides(entry.declared_width, entry.declared_height));
    record.usable = false;
    return;
  }
  for (const PixelBox& box : entry.boxes) {
    std::string fault;
    std::optional<Label> label = to_label(box, size, &fault);
    if (!fault.empty()) {
      record.faults.add(entry.image + ": " + fault + " (" + entry.annotation + ")");
    }
    if (!label) continue;
    record.labels.push_back(std::move(*label));
  }
  if (const std::size_t repeated = remove_repeated(record.labels); repeated > 0) {
    record.faults.add(entry.image + ": " + std::to_string(repeated) + " repeated boxes left out (" +
                      entry.annotation + ")");
  }
}

}  // namespace

Record check_entry(const Entry& entry, std::size_t classes) {
  Record record;
  record.image = entry.image;
  std::string why = entry.wrong;
  const std::optional<PictureSize> size =
      why.empty() ? check_picture(entry.image, &why) : std::nullopt;
  if (!size) {
    record.faults.add(std::move(why));
    return record;
  }
  record.usable = true;
  if (entry.label_file.empty()) {
    convert_boxes(entry, *size, record);
  } else {
    read_rows(entry, classes, record);
  }
  if (!record.usable) record.labels.clear();
  return record;
}

std::vector<Record> scan_entries(const Listing& listing,
                                 const DatasetOptions& options,
                                 bool* cached) {
  *cached = false;
  const bool keeps = options.cache && !listing.cache.empty();
  const CacheKey key = keeps ? cache_key(listing) : CacheKey{};
  if (keeps) {
    if (auto records = read_cache(listing, key)) {
      *cached = true;
      return std::move(*records);
    }
  }
  std::vector<Record> records(listing.entries.size());
  const auto look = [&](std::size_t i) {
    records[i] = check_entry(listing.entries[i], listing.names.size());
  };
  for_each_index(records.size(), options.threads, look, options.progress);
  if (keeps) write_cache(listing, key, records);
  return records;
}

}  // namespace ps::vision
