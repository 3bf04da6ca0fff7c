// Layout: u64 (little-endian) n; n bytes of JSON, padded with spaces to a multiple of 8; the
// tensors, one after the other without gaps.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include <ps/error.h>
#include <ps/safetensors.h>

#include "ops/file.h"
#include "wire/json_sax.h"

namespace ps {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "values are written as they lie");

constexpr const char* kMetadata = "__metadata__";
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr std::size_t kMaxTensors = 65'536;
constexpr std::size_t kMaxDimensions = 32;
constexpr std::size_t kAlignment = 8;

// Depth: document, tensor, shape. Values of a tensor: itself, dtype, two lists, offsets,
// dimensions.
constexpr wire::Limits kLimits{
    .depth = 3, .values = (kMaxTensors + 2) * (kMaxDimensions + 8), .string_bytes = 1 << 20};

// Nothing for a negative dimension, and for more than the address space could hold.
std::optional<std::uint64_t> bytes_of(std::span<const std::int64_t> shape) {
  // With a zero the product is 0, whatever the others are.
  std::uint64_t bytes = sizeof(float);
  bool zero = false;
  bool overflow = false;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    zero = zero || dimension == 0;
    overflow =
        overflow || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dimension), &bytes);
  }
  if (zero) return 0;
  if (overflow || bytes > std::uint64_t{1} << 62U) return std::nullopt;
  return bytes;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t dimension : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
  }
  return text + "]";
}

// --- writing

[[noreturn]] void refuse_tensor(const std::string& name, const std::string& why) {
  throw Error(ErrorCode::kInvalidArgument,
              "save_safetensors: tensor '" + wire::clean_text(name, 200) + "': " + why);
}

std::vector<const NamedTensor*> checked_by_name(std::span<const NamedTensor> tensors) {
  std::vector<const NamedTensor*> sorted;
  for (const auto& tensor : tensors) {
    if (tensor.name == kMetadata) refuse_tensor(tensor.name, "the format keeps this name");
    if (!wire::is_utf8(tensor.name)) refuse_tensor(tensor.name, "the name is not UTF-8");
    if (tensor.name.size() > kLimits.string_bytes) {
      refuse_tensor(tensor.name, "the name is too long");
    }
    if (tensor.shape.size() > kMaxDimensions) refuse_tensor(tensor.name, "too many dimensions");
    const auto bytes = bytes_of(tensor.shape);
    if (!bytes || *bytes != tensor.values.size_bytes()) {
      refuse_tensor(tensor.name, "shape " + shape_text(tensor.shape) + " does not fit " +
                                     std::to_string(tensor.values.size()) + " values");
    }
    sorted.push_back(&tensor);
  }
  if (sorted.size() > kMaxTensors) {
    throw Error(ErrorCode::kInvalidArgument, "save_safetensors: more than 65536 tensors");
  }
  std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->name < b->name; });
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end(),
                                        [](auto* a, auto* b) { return a->name == b->name; });
  if (twice != sorted.end()) refuse_tensor((*twice)->name, "there are two of this name");
  return sorted;
}

std::string header_text(std::span<const NamedTensor* const> sorted,
                        const std::map<std::string, std::string>& metadata) {
  auto header = json::object();
  for (const auto& [key, value] : metadata) {
    const std::size_t longest = std::max(key.size(), value.size());
    if (!wire::is_utf8(key) || !wire::is_utf8(value) || longest > kLimits.string_bytes) {
      throw Error(ErrorCode::kInvalidArgument, "save_safetensors: metadata '" +
                                                   wire::clean_text(key, 200) +
                                                   "': expected UTF-8 of at most 1 MiB");
    }
    header[kMetadata][key] = value;
  }
  std::uint64_t offset = 0;
  for (const auto* tensor : sorted) {
    const std::uint64_t end = offset + tensor->values.size_bytes();
    header[tensor->name] = {
        {"dtype", "F32"}, {"shape", tensor->shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  if (text.size() > kMaxHeaderBytes) {
    throw Error(ErrorCode::kInvalidArgument, "save_safetensors: the header exceeds 100 MB");
  }
  return text;
}

// --- reading

[[noreturn]] void corrupt(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::kCorrupt, path + " is not a sound safetensors file: " + why);
}

struct Entry {
  SafetensorsFile::Tensor tensor;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

std::optional<std::uint64_t> unsigned_of(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<std::uint64_t>();
}

// The three fields of a tensor's description, checked except against its neighbours.
Entry parse_entry(const std::string& path, const std::string& name, const json& description) {
  const auto refuse = [&](const std::string& why) {
    corrupt(path, "tensor '" + wire::clean_text(name, 200) + "': " + why);
  };
  if (!description.is_object()) refuse("expected an object");
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    if (!description.contains(field)) refuse(std::string("has no ") + field);
  }
  const auto& type = description["dtype"];
  const auto& shape = description["shape"];
  const auto& offsets = description["data_offsets"];
  if (!type.is_string() || !shape.is_array() || !offsets.is_array() || offsets.size() != 2) {
    refuse("expected a dtype, a shape and two data_offsets");
  }
  if (type.get_ref<const std::string&>() != "F32") {
    throw Error(ErrorCode::kInvalidArgument,
                path + ": tensor '" + wire::clean_text(name, 200) + "' is of type " +
                    wire::clean_text(type.get_ref<const std::string&>(), 20) +
                    "; only F32 can be read: convert it first");
  }
  Entry entry{.tensor = {.name = name, .shape = {}, .values = {}}};
  if (shape.size() > kMaxDimensions) refuse("has more than 32 dimensions");
  for (const auto& dimension : shape) {
    const auto size = unsigned_of(dimension);
    if (!size || *size > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
      refuse("a dimension that is not a whole number");
    }
    entry.tensor.shape.push_back(static_cast<std::int64_t>(*size));
  }
  const auto begin = unsigned_of(offsets[0]);
  const auto end = unsigned_of(offsets[1]);
  if (!begin || !end || *begin > *end) refuse("data_offsets that are not a range");
  if (bytes_of(entry.tensor.shape) != *end - *begin) {
    refuse("shape " + shape_text(entry.tensor.shape) + " does not fit " +
           std::to_string(*end - *begin) + " bytes");
  }
  entry.begin = *begin;
  entry.end = *end;
  return entry;
}

std::map<std::string, std::string> parse_metadata(const std::string& path, const json& object) {
  if (!object.is_object()) corrupt(path, "__metadata__ is not an object");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) corrupt(path, "__metadata__ holds something that is not text");
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

// In the order of their bytes, which must cover `data_bytes` without gaps or overlaps.
void check_layout(const std::string& path, std::vector<Entry>& entries, std::uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t offset = 0;
  for (const auto& entry : entries) {
    if (entry.begin != offset) {
      corrupt(path, "tensor '" + wire::clean_text(entry.tensor.name, 200) + "' begins at byte " +
                        std::to_string(entry.begin) + ", expected " + std::to_string(offset) +
                        (entry.begin < offset ? " (an overlap)" : " (a gap)"));
    }
    offset = entry.end;
  }
  if (offset != data_bytes) {
    corrupt(path, "tensors take " + std::to_string(offset) + " bytes, but the file has " +
                      std::to_string(data_bytes));
  }
}

json read_header(const std::string& path, ops::InputFile& file, std::uint64_t& data_bytes) {
  std::array<std::byte, 8> prefix{};
  if (file.size() < prefix.size()) corrupt(path, "shorter than 8 bytes");
  file.read(prefix);
  const auto header_bytes = std::bit_cast<std::uint64_t>(prefix);
  const std::uint64_t left = file.size() - prefix.size();
  if (header_bytes > kMaxHeaderBytes || header_bytes > left) {
    corrupt(path, "a header of " + std::to_string(header_bytes) + " bytes; expected at most " +
                      std::to_string(std::min(kMaxHeaderBytes, left)));
  }
  std::vector<std::byte> text(header_bytes);
  file.read(text);
  data_bytes = left - header_bytes;
  std::string why;
  auto header = wire::parse_limited(text, wire::Format::kJson, kLimits, &why);
  if (!header) corrupt(path, "the header is not JSON as expected: " + why);
  if (!header->is_object()) corrupt(path, "the header is not a JSON object");
  return std::move(*header);
}

}  // namespace

void save_safetensors(const std::string& path,
                      std::span<const NamedTensor> tensors,
                      const std::map<std::string, std::string>& metadata) {
  const auto sorted = checked_by_name(tensors);
  const std::string header = header_text(sorted, metadata);
  ops::ReplacementFile file(path);
  const auto header_bytes = std::bit_cast<std::array<std::byte, 8>>(std::uint64_t{header.size()});
  file.write(header_bytes);
  file.write(std::as_bytes(std::span(header)));
  for (const auto* tensor : sorted) file.write(std::as_bytes(tensor->values));
  file.commit();
}

const SafetensorsFile::Tensor* SafetensorsFile::find(std::string_view name) const noexcept {
  for (const auto& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

void SafetensorsFile::save(const std::string& path) const {
  std::vector<NamedTensor> named;
  for (const Tensor& tensor : tensors) named.push_back({tensor.name, tensor.shape, tensor.values});
  save_safetensors(path, named, metadata);
}

SafetensorsFile load_safetensors(const std::string& path) {
  ops::InputFile file(path);
  std::uint64_t data_bytes = 0;
  const json header = read_header(path, file, data_bytes);

  SafetensorsFile result;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == kMetadata) {
      result.metadata = parse_metadata(path, value);
    } else {
      entries.push_back(parse_entry(path, name, value));
    }
  }
  if (entries.size() > kMaxTensors) corrupt(path, "more than 65536 tensors");
  check_layout(path, entries, data_bytes);

  for (auto& entry : entries) {
    entry.tensor.values.resize((entry.end - entry.begin) / sizeof(float));
    file.read(std::as_writable_bytes(std::span(entry.tensor.values)));
    result.tensors.push_back(std::move(entry.tensor));
  }
  std::sort(result.tensors.begin(), result.tensors.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return result;
}

}  // namespace ps
