// Keeps the answers of a scan in a file. Its key says what they are answers to: the format's
// version, the classes, and of every file its path, size and time of change. A file that is
// damaged, or about something else, is as good as none.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vision/listing.h"
#include "vision/scan.h"

namespace ps::vision {

using CacheKey = std::array<std::uint64_t, 2>;

// Asks the file system about every file of the listing.
CacheKey cache_key(const Listing& listing);

// The records, one for each entry of `listing`, or nothing. Bytes may be anything; never throws but
// std::bad_alloc, and takes memory in proportion to the file.
std::optional<std::vector<Record>> read_cache(const Listing& listing, const CacheKey& key);

// Replaces the file at once; where that cannot be done there is no cache.
void write_cache(const Listing& listing, const CacheKey& key, std::span<const Record> records);

}  // namespace ps::vision
