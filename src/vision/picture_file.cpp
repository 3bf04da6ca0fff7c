// Fields of the formats' headers: JPEG ITU-T T.81 annex B, PNG W3C third edition 5.2-5.6, TIFF 6.0
// section 2, WebP RFC 9649 section 2, BMP as Windows' BITMAPINFOHEADER.
#include "vision/picture_file.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include <ps/vision/image.h>

namespace ps::vision {
namespace {

constexpr const char* kTruncated = "the file is truncated";

// Numbers at an offset; beyond the end they are 0 and good() turns false.
class Fields {
 public:
  Fields(Bytes& file, bool big_endian) : file_(file), big_endian_(big_endian) {}

  std::uint64_t number(std::uint64_t offset, std::size_t bytes) {
    std::array<std::uint8_t, 4> data{};
    if (!file_.read(offset, std::span(data).first(bytes))) {
      good_ = false;
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
      value = value << 8U | data.at(big_endian_ ? i : bytes - 1 - i);
    }
    return value;
  }
  bool has(std::uint64_t offset, std::string_view text) {
    std::array<std::uint8_t, 16> data{};
    const auto part = std::span(data).first(text.size());
    return file_.read(offset, part) &&
           std::equal(part.begin(), part.end(), text.begin(),
                      [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); });
  }
  [[nodiscard]] bool good() const { return good_; }

 private:
  Bytes& file_;
  bool big_endian_;
  bool good_ = true;
};

struct Claim {
  std::uint64_t height = 0;
  std::uint64_t width = 0;
  std::string wrong;  // empty: nothing
};

Claim wrong(const char* why) {
  return {0, 0, why};
}

// Values of a TIFF directory at `base` (TIFF files and EXIF data): tag -> first value, 0 if absent.
struct TiffTags {
  std::uint64_t width = 0;
  std::uint64_t height = 0;
  std::uint64_t orientation = 0;
  bool good = false;
};

TiffTags tiff_tags(Bytes& file, std::uint64_t base) {
  TiffTags tags;
  Fields order(file, true);
  const bool big_endian = order.has(base, "MM");
  if (!big_endian && !order.has(base, "II")) return tags;
  Fields fields(file, big_endian);
  const std::uint64_t directory = base + fields.number(base + 4, 4);
  const std::uint64_t count = fields.number(directory, 2);
  for (std::uint64_t i = 0; i < count && fields.good(); ++i) {
    const std::uint64_t entry = directory + 2 + i * 12;
    const std::uint64_t tag = fields.number(entry, 2);
    const std::size_t bytes = fields.number(entry + 2, 2) == 3 ? 2 : 4;  // SHORT or LONG
    if (tag == 256) tags.width = fields.number(entry + 8, bytes);
    if (tag == 257) tags.height = fields.number(entry + 8, bytes);
    if (tag == 274) tags.orientation = fields.number(entry + 8, bytes);
  }
  tags.good = fields.good();
  return tags;
}

// Whether an end-of-image marker follows the entropy-coded data that begin at `offset`.
bool jpeg_ends(Bytes& file, std::uint64_t offset) {
  std::array<std::uint8_t, 2> tail{};
  if (file.size() < 2 || !file.read(file.size() - 2, tail)) return false;
  if (tail[0] == 0xFF && tail[1] == 0xD9) return true;
  // Some writers append their own data; then the marker is looked for. In coded data FF is always
  // followed by 00 or a restart marker, so anything else ends a scan.
  std::array<std::uint8_t, 1> byte{};
  for (bool after_ff = false; file.read(offset, byte); ++offset) {
    if (after_ff && byte[0] == 0xD9) return true;
    after_ff = byte[0] == 0xFF;
  }
  return false;
}

Claim probe_jpeg(Bytes& file) {
  Fields fields(file, true);
  Claim claim;
  bool turned = false;
  for (std::uint64_t offset = 2;;) {
    if (fields.number(offset, 1) != 0xFF || !fields.good()) return wrong(kTruncated);
    const std::uint64_t marker = fields.number(offset + 1, 1);
    if (marker == 0xFF) {  // padding
      ++offset;
      continue;
    }
    const std::uint64_t length = fields.number(offset + 2, 2);
    if (!fields.good() || length < 2) return wrong(kTruncated);
    const bool is_frame =
        marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (is_frame) {
      claim.height = fields.number(offset + 5, 2);
      claim.width = fields.number(offset + 7, 2);
    }
    if (marker == 0xE1 && fields.has(offset + 4, std::string_view("Exif\0\0", 6))) {
      turned = tiff_tags(file, offset + 10).orientation >= 5;
    }
    offset += 2 + length;
    if (marker != 0xDA) continue;
    if (turned) std::swap(claim.height, claim.width);
    if (!jpeg_ends(file, offset)) {
      return wrong("the file is truncated: it has no end-of-image mark");
    }
    return claim;
  }
}

Claim probe_png(Bytes& file) {
  Fields fields(file, true);
  Claim claim{fields.number(20, 4), fields.number(16, 4), {}};
  for (std::uint64_t offset = 8; fields.good();) {
    if (fields.has(offset + 4, "IEND") && offset + 12 <= file.size()) return claim;
    offset += 12 + fields.number(offset, 4);
  }
  return wrong("the file is truncated: it has no end chunk");
}

Claim probe_bmp(Bytes& file) {
  Fields fields(file, false);
  const std::uint64_t header = fields.number(14, 4);
  if (!fields.good()) return wrong(kTruncated);
  if (header == 12) return {fields.number(20, 2), fields.number(18, 2), {}};
  const auto signed_height = static_cast<std::int32_t>(fields.number(22, 4));
  const auto height = static_cast<std::uint64_t>(std::abs(std::int64_t{signed_height}));
  const std::uint64_t width = fields.number(18, 4);
  const std::uint64_t row_bytes = (width * fields.number(28, 2) + 31) / 32 * 4;
  const bool plain = fields.number(30, 4) == 0;
  if (!fields.good()) return wrong(kTruncated);
  // width and height are below 2^32 and bits below 2^16: the size check comes first.
  const bool sane = width <= kMaxImagePixels && height <= kMaxImagePixels;
  if (plain && sane && width * height <= kMaxImagePixels &&
      fields.number(10, 4) + row_bytes * height > file.size()) {
    return wrong(kTruncated);
  }
  return {height, width, {}};
}

Claim probe_webp(Bytes& file) {
  Fields fields(file, false);
  if (fields.number(4, 4) + 8 > file.size()) return wrong(kTruncated);
  Claim claim;
  if (fields.has(12, "VP8X")) {
    claim = {fields.number(27, 3) + 1, fields.number(24, 3) + 1, {}};
  } else if (fields.has(12, "VP8L")) {
    const std::uint64_t bits = fields.number(21, 4);
    claim = {(bits >> 14U & 0x3FFFU) + 1, (bits & 0x3FFFU) + 1, {}};
  } else {
    claim = {fields.number(28, 2) & 0x3FFFU, fields.number(26, 2) & 0x3FFFU, {}};
  }
  return fields.good() ? claim : wrong(kTruncated);
}

Claim probe_tiff(Bytes& file) {
  const TiffTags tags = tiff_tags(file, 0);
  if (!tags.good) return wrong(kTruncated);
  if (tags.orientation >= 5) return {tags.width, tags.height, {}};
  return {tags.height, tags.width, {}};
}

Claim probe_format(Bytes& file) {
  Fields fields(file, true);
  if (file.size() == 0) return wrong("the file is empty");
  if (fields.has(0, "\xFF\xD8\xFF")) return probe_jpeg(file);
  if (fields.has(0, "\x89PNG\r\n\x1A\n")) return probe_png(file);
  if (fields.has(0, "BM")) return probe_bmp(file);
  if (fields.has(0, "RIFF") && fields.has(8, "WEBP")) return probe_webp(file);
  if (fields.has(0, std::string_view("II*\0", 4)) || fields.has(0, std::string_view("MM\0*", 4))) {
    return probe_tiff(file);
  }
  return wrong("expected a JPEG, PNG, BMP, TIFF or WebP picture, the contents are none");
}

}  // namespace

std::optional<PictureSize> probe_picture(Bytes& file, std::string* why) {
  const Claim claim = probe_format(file);
  constexpr auto kMost = static_cast<std::uint64_t>(kMaxImagePixels);
  if (!claim.wrong.empty()) {
    *why = claim.wrong;
  } else if (claim.height == 0 || claim.width == 0) {
    *why = "a side of the picture is 0";
  } else if (claim.height > kMost || claim.width > kMost / claim.height) {
    *why = "claims " + std::to_string(claim.width) + "x" + std::to_string(claim.height) +
           " pixels; at most " + std::to_string(kMost) + " in all are read";
  } else {
    return PictureSize{static_cast<int>(claim.height), static_cast<int>(claim.width)};
  }
  return std::nullopt;
}

bool is_picture_name(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos) return false;
  std::string ending = name.substr(dot + 1);
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<std::string_view, 7> kEndings{"jpg", "jpeg", "png", "bmp",
                                                     "tif", "tiff", "webp"};
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

}  // namespace ps::vision
