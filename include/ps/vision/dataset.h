// Sets of pictures with labelled objects, whatever format they lie in on disk: one interface for
// training, validation and figures. What is done to a sample before training is augment.h's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ps/vision/image.h>

namespace ps::vision {

struct Sample {
  Image image;
  std::vector<Label> labels;
};

// An open data set. Any number of threads may call it at the same time; what it returns never
// changes while it lives, so that every process that opens the same data sees the same samples in
// one order.
class Dataset {
 public:
  Dataset() = default;
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;
  virtual ~Dataset() = default;

  [[nodiscard]] virtual std::size_t size() const = 0;
  // The classes' names; a label's category is an index into them.
  [[nodiscard]] virtual const std::vector<std::string>& names() const = 0;
  // Sample `index`, decoded or generated in this call. Throws Error: kInvalidArgument for an index
  // beyond size(); kIo or kCorrupt, naming the file, when it went bad after it was scanned.
  [[nodiscard]] virtual Sample load(std::size_t index) const = 0;
  // The labels of sample `index`, without its picture; valid while the data set lives.
  [[nodiscard]] virtual std::span<const Label> labels(std::size_t index) const = 0;
  // Where sample `index` is from, for messages and figures: the picture's path, or "fm-det train
  // 12".
  [[nodiscard]] virtual std::string source(std::size_t index) const = 0;
};

enum class Split { kTrain, kVal, kTest };
// "train", "val", "test".
const char* to_string(Split split) noexcept;

// How a data set was read.
struct Scan {
  std::string path;             // what was scanned: a folder, a list or an annotation file
  std::size_t images = 0;       // usable, with at least one object
  std::size_t backgrounds = 0;  // usable, without objects
  std::size_t corrupt = 0;      // left out
  // Everything found wrong, each text beginning with the file's name; also what left no picture
  // out, such as a repeated row. Texts beyond kMaxFaults are only counted.
  std::vector<std::string> faults;
  std::size_t fault_count = 0;
  bool cached = false;  // the answer of an earlier scan was still valid
};
constexpr std::size_t kMaxFaults = 1000;
// "Scanning PATH... N images, M backgrounds, K corrupt".
std::string scan_line(const Scan& scan);

struct DatasetOptions {
  std::size_t threads = 0;  // that scan; 0: as many as the machine has cores
  bool cache = true;        // read and write the .cache file with the answers of the scan
  // Told how far the scan is, from the thread that opens, now and then and at the end; may be
  // empty.
  std::function<void(std::size_t done, std::size_t total)> progress;
};

// Opens one split of `data`, which is one of
//   data.yaml     `path`, `train` `val` `test` (folders, .txt lists of pictures, or lists of
//   either),
//                 `names`; labels lie in "/labels/" where pictures lie in "/images/"
//   obj.data      darknet: `classes train valid names`; labels lie beside the pictures
//   x.json        COCO annotations; for another split "train" in the file's name becomes "val" etc.
//   a folder      Pascal VOC (Annotations, JPEGImages, ImageSets), COCO (annotations), or one that
//   has
//                 a data.yaml
//   fm-det[:key=value,...]  the generated set of fm_det.h (keys count, val, size, classes, seed)
// Files on disk are scanned first: what is unusable is left out and told in `scan` (may be null),
// never thrown. The answers are kept in a .cache file beside the labels, which is checked, not
// trusted; a folder that cannot be written goes without.
// Throws Error naming the file: kInvalidArgument when `data` itself is not understood, lacks the
// split or has no usable picture, kIo when it cannot be read, kCorrupt when its format is broken.
std::unique_ptr<Dataset> open_dataset(const std::string& data,
                                      Split split,
                                      const DatasetOptions& options = {},
                                      Scan* scan = nullptr);

// `data` with every picture kept decoded once it was loaded: the same samples, for the price of the
// memory of all pictures.
std::unique_ptr<Dataset> cached(std::unique_ptr<Dataset> data);

}  // namespace ps::vision
