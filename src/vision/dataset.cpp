// Which reader a data set's name asks for, and the data set of files that a scan makes.
#include <algorithm>
#include <filesystem>
#include <mutex>
#include <utility>

#include <ps/error.h>
#include <ps/vision/dataset.h>
#include <ps/vision/fm_det.h>

#include "vision/listing.h"
#include "vision/paths.h"
#include "vision/scan.h"

namespace ps::vision {
namespace {

void check_index(const std::string& data, std::size_t index, std::size_t size) {
  if (index < size) return;
  throw Error(ErrorCode::kInvalidArgument,
              data + ": sample " + std::to_string(index) + " of " + std::to_string(size));
}

class FileDataset final : public Dataset {
 public:
  FileDataset(std::string path, std::vector<std::string> names, std::vector<Record> records)
      : path_(std::move(path)), names_(std::move(names)), records_(std::move(records)) {}

  [[nodiscard]] std::size_t size() const override { return records_.size(); }
  [[nodiscard]] const std::vector<std::string>& names() const override { return names_; }
  [[nodiscard]] Sample load(std::size_t index) const override {
    const Record& record = at(index);
    return {read_image(record.image), record.labels};
  }
  [[nodiscard]] std::span<const Label> labels(std::size_t index) const override {
    return at(index).labels;
  }
  [[nodiscard]] std::string source(std::size_t index) const override { return at(index).image; }

 private:
  [[nodiscard]] const Record& at(std::size_t index) const {
    check_index(path_, index, records_.size());
    return records_[index];
  }
  std::string path_;
  std::vector<std::string> names_;
  std::vector<Record> records_;  // the usable ones
};

class CachedDataset final : public Dataset {
 public:
  explicit CachedDataset(std::unique_ptr<Dataset> data)
      : data_(std::move(data)), pictures_(data_->size()) {}

  [[nodiscard]] std::size_t size() const override { return data_->size(); }
  [[nodiscard]] const std::vector<std::string>& names() const override { return data_->names(); }
  [[nodiscard]] Sample load(std::size_t index) const override {
    check_index("a cached data set", index, pictures_.size());
    Picture& picture = pictures_[index];
    // Whoever comes first decodes; after an error the next one tries again.
    std::call_once(picture.once, [&] { picture.image = data_->load(index).image; });
    const auto labels = data_->labels(index);
    return {picture.image, {labels.begin(), labels.end()}};
  }
  [[nodiscard]] std::span<const Label> labels(std::size_t index) const override {
    return data_->labels(index);
  }
  [[nodiscard]] std::string source(std::size_t index) const override {
    return data_->source(index);
  }

 private:
  struct Picture {
    std::once_flag once;
    Image image;
  };
  std::unique_ptr<Dataset> data_;
  mutable std::vector<Picture> pictures_;
};

Listing list_folder(const std::string& folder, Split split, std::size_t threads) {
  if (is_folder(joined(folder, "Annotations"))) return list_voc(folder, split, threads);
  if (is_folder(joined(folder, "annotations"))) return list_coco(folder, split);
  if (const std::string yaml = joined(folder, "data.yaml"); exists(yaml)) {
    return list_yolo(yaml, split);
  }
  throw Error(ErrorCode::kInvalidArgument,
              folder +
                  ": expected a data set's folder, with data.yaml, with Annotations (Pascal "
                  "VOC) or with annotations (COCO) in it");
}

Listing list_data(const std::string& data, Split split, std::size_t threads) {
  if (is_folder(data)) return list_folder(data, split, threads);
  const std::string ending = std::filesystem::path(data).extension().string();
  if (ending == ".yaml" || ending == ".yml") return list_yolo(data, split);
  if (ending == ".data") return list_darknet(data, split);
  if (ending == ".json") return list_coco(data, split);
  throw Error(ErrorCode::kInvalidArgument,
              data +
                  ": expected a data set: a .yaml file, darknet's .data file, COCO's .json file, "
                  "a folder or fm-det[:key=value,...]");
}

void add_faults(Scan& scan, Faults& faults) {
  scan.fault_count += faults.count;
  for (std::string& fault : faults.texts) {
    if (scan.faults.size() < kMaxFaults) scan.faults.push_back(std::move(fault));
  }
}

std::unique_ptr<Dataset> open_files(const std::string& data,
                                    Split split,
                                    const DatasetOptions& options,
                                    Scan& scan) {
  Listing listing = list_data(data, split, options.threads);
  scan.path = listing.path;
  std::vector<Record> records = scan_entries(listing, options, &scan.cached);
  add_faults(scan, listing.faults);
  for (Record& record : records) {
    ++(!record.usable ? scan.corrupt : record.labels.empty() ? scan.backgrounds : scan.images);
    add_faults(scan, record.faults);
  }
  std::erase_if(records, [](const Record& record) { return !record.usable; });
  if (records.empty()) {
    const std::string first = scan.faults.empty() ? "none is there" : scan.faults.front();
    throw Error(ErrorCode::kInvalidArgument,
                listing.path + ": expected pictures to " + to_string(split) +
                    " with, found none that can be used; the first fault: " + first);
  }
  return std::make_unique<FileDataset>(listing.path, std::move(listing.names), std::move(records));
}

}  // namespace

const char* to_string(Split split) noexcept {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kVal:
      return "val";
    case Split::kTest:
      return "test";
  }
  return "unknown";
}

std::string scan_line(const Scan& scan) {
  return "Scanning " + scan.path + "... " + std::to_string(scan.images) + " images, " +
         std::to_string(scan.backgrounds) + " backgrounds, " + std::to_string(scan.corrupt) +
         " corrupt";
}

std::unique_ptr<Dataset> open_dataset(const std::string& data,
                                      Split split,
                                      const DatasetOptions& options,
                                      Scan* scan) {
  Scan own;
  Scan& told = scan != nullptr ? *scan : own;
  told = {};
  if (!is_fm_det(data)) return open_files(data, split, options, told);
  std::unique_ptr<Dataset> generated = open_fm_det(parse_fm_det(data), split);
  told.path = data;
  told.images = generated->size();  // a garment that cannot be seen does not occur
  return generated;
}

std::unique_ptr<Dataset> cached(std::unique_ptr<Dataset> data) {
  return std::make_unique<CachedDataset>(std::move(data));
}

}  // namespace ps::vision
