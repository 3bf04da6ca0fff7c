// Looks at every picture and label file of a listing: what may be used, and everything that is
// wrong. Pictures are not decoded; their headers and ends are read.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <ps/vision/dataset.h>

#include "vision/listing.h"

namespace ps::vision {

constexpr int kSmallestSide = 10;  // pixels; a picture with a smaller side is left out

// The answer for one entry.
struct Record {
  std::string image;
  bool usable = false;
  std::vector<Label> labels;
  Faults faults;  // also of usable ones

  bool operator==(const Record&) const = default;
};

// Never throws for what files hold. `classes`: how many there are.
Record check_entry(const Entry& entry, std::size_t classes);

// A record for each entry, in their order: from the listing's cache when that is allowed and still
// true, else by looking, on options.threads threads; then the cache is written. `cached` says
// which.
std::vector<Record> scan_entries(const Listing& listing,
                                 const DatasetOptions& options,
                                 bool* cached);

}  // namespace ps::vision
