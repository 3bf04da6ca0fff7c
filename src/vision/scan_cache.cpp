// Layout, little-endian: magic, version, key, number of records, the records, CRC-32C of all
// before. A record: the picture's usability, its labels and its faults; names of files are not
// kept, since the key stands for them. The checksum finds damage, the checks while reading find
// what it does not.
#include "vision/scan_cache.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <sys/stat.h>
#include <xxhash.h>

#include <ps/error.h>

#include "base/crc32c.h"
#include "vision/bytes.h"

namespace ps::vision {
namespace {

constexpr std::uint64_t kMagic = 0x534C4542414C5350;  // "PSLABELS"
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kMaxCacheBytes = std::uint64_t{4} << 30;

class Writer {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_trivially_copyable_v<T> && std::endian::native == std::endian::little);
    const std::size_t at = bytes.size();
    bytes.resize(at + sizeof value);
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }
  void text(const std::string& value) {
    number(static_cast<std::uint32_t>(value.size()));
    bytes.insert(bytes.end(), value.begin(), value.end());
  }
  std::vector<std::uint8_t> bytes;
};

// Beyond the end, numbers are 0, texts empty and good is false.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}
  template <class T>
  T number() {
    T value{};
    if (rest_.size() < sizeof value) {
      good = false;
      return value;
    }
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_ = rest_.subspan(sizeof value);
    return value;
  }
  std::string text() {
    const std::size_t size = count<std::uint32_t>(1);
    std::string value(reinterpret_cast<const char*>(rest_.data()), size);
    rest_ = rest_.subspan(size);
    return value;
  }
  // A number of things of at least `bytes` bytes each, that the rest has room for.
  template <class T>
  std::size_t count(std::size_t bytes) {
    const T value = number<T>();
    if (value <= rest_.size() / bytes) return static_cast<std::size_t>(value);
    good = false;
    return 0;
  }
  [[nodiscard]] bool ended() const { return rest_.empty(); }
  bool good = true;

 private:
  std::span<const std::uint8_t> rest_;
};

std::uint32_t checksum(std::span<const std::uint8_t> bytes) {
  return crc32c(std::as_bytes(bytes));
}

void add_file(Writer& writer, const std::string& path) {
  writer.text(path);
  struct stat status {};
  if (path.empty() || stat(path.c_str(), &status) != 0) {
    writer.number(std::int64_t{-1});
    return;
  }
  writer.number(static_cast<std::int64_t>(status.st_size));
  writer.number(static_cast<std::int64_t>(status.st_mtim.tv_sec));
  writer.number(static_cast<std::int64_t>(status.st_mtim.tv_nsec));
}

void add_entry(Writer& writer, const Entry& entry) {
  add_file(writer, entry.image);
  add_file(writer, entry.label_file);
  writer.text(entry.annotation);
  writer.text(entry.wrong);
  writer.number(entry.declared_height);
  writer.number(entry.declared_width);
  writer.number(static_cast<std::uint64_t>(entry.boxes.size()));
  for (const PixelBox& box : entry.boxes) {
    writer.number(box.category);
    for (const double value : {box.left, box.top, box.width, box.height}) writer.number(value);
    writer.number(static_cast<std::uint64_t>(box.polygon.size()));
    for (const float value : box.polygon) writer.number(value);
  }
}

void write_record(Writer& writer, const Record& record) {
  writer.number(static_cast<std::uint8_t>(record.usable));
  writer.number(static_cast<std::uint32_t>(record.labels.size()));
  for (const Label& label : record.labels) {
    writer.number(label.category);
    for (const float value : {label.x, label.y, label.width, label.height}) writer.number(value);
    writer.number(static_cast<std::uint32_t>(label.polygon.size()));
    for (const float value : label.polygon) writer.number(value);
  }
  writer.number(record.faults.count);
  writer.number(static_cast<std::uint32_t>(record.faults.texts.size()));
  for (const std::string& fault : record.faults.texts) writer.text(fault);
}

bool is_fraction(float value) {
  return value >= 0 && value <= 1;
}

Record read_record(Reader& reader, std::size_t classes) {
  Record record;
  record.usable = reader.number<std::uint8_t>() == 1;
  record.labels.resize(reader.count<std::uint32_t>(24));
  for (Label& label : record.labels) {
    label.category = reader.number<std::int32_t>();
    for (float* value : {&label.x, &label.y, &label.width, &label.height}) {
      *value = reader.number<float>();
      reader.good = reader.good && is_fraction(*value);
    }
    reader.good =
        reader.good && label.category >= 0 && static_cast<std::size_t>(label.category) < classes;
    label.polygon.resize(reader.count<std::uint32_t>(4));
    for (float& value : label.polygon) {
      value = reader.number<float>();
      reader.good = reader.good && is_fraction(value);
    }
  }
  record.faults.count = reader.number<std::uint64_t>();
  record.faults.texts.resize(reader.count<std::uint32_t>(4));
  for (std::string& fault : record.faults.texts) fault = reader.text();
  return record;
}

}  // namespace

CacheKey cache_key(const Listing& listing) {
  Writer writer;
  XXH3_state_t* state = XXH3_createState();
  if (state == nullptr) throw std::bad_alloc();
  XXH3_128bits_reset(state);
  const auto flush = [&] {
    XXH3_128bits_update(state, writer.bytes.data(), writer.bytes.size());
    writer.bytes.clear();
  };
  for (const std::string& name : listing.names) writer.text(name);
  for (const Entry& entry : listing.entries) {
    flush();
    add_entry(writer, entry);
  }
  flush();
  const XXH128_hash_t hash = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  return {hash.low64, hash.high64};
}

std::optional<std::vector<Record>> read_cache(const Listing& listing, const CacheKey& key) {
  std::vector<std::uint8_t> bytes;
  try {
    bytes = read_file(listing.cache, kMaxCacheBytes);
  } catch (const Error&) {
    return std::nullopt;  // there is none
  }
  constexpr std::size_t kChecksumBytes = sizeof(std::uint32_t);
  if (bytes.size() < kChecksumBytes) return std::nullopt;
  const auto body = std::span(bytes).first(bytes.size() - kChecksumBytes);
  if (Reader(std::span(bytes).last(kChecksumBytes)).number<std::uint32_t>() != checksum(body)) {
    return std::nullopt;
  }
  Reader reader(body);
  const bool same =
      reader.number<std::uint64_t>() == kMagic && reader.number<std::uint32_t>() == kVersion &&
      reader.number<std::uint64_t>() == key[0] && reader.number<std::uint64_t>() == key[1] &&
      reader.count<std::uint64_t>(17) == listing.entries.size();
  if (!same) return std::nullopt;
  std::vector<Record> records;
  records.reserve(listing.entries.size());
  for (const Entry& entry : listing.entries) {
    records.push_back(read_record(reader, listing.names.size()));
    records.back().image = entry.image;
    if (!reader.good) return std::nullopt;
  }
  if (!reader.ended()) return std::nullopt;
  return records;
}

void write_cache(const Listing& listing, const CacheKey& key, std::span<const Record> records) {
  Writer writer;
  writer.number(kMagic);
  writer.number(kVersion);
  writer.number(key[0]);
  writer.number(key[1]);
  writer.number(static_cast<std::uint64_t>(records.size()));
  for (const Record& record : records) write_record(writer, record);
  writer.number(checksum(writer.bytes));
  (void)replace_file(listing.cache, writer.bytes);  // a folder that is read-only goes without
}

}  // namespace ps::vision
