// What a picture file says of itself, without decoding it: the size that it claims, and whether it
// is there to its end. Decoders are handed only what passed this. Not whether its pixels are right.
#pragma once

#include <optional>
#include <string>

#include "vision/bytes.h"

namespace ps::vision {

struct PictureSize {
  int height = 0;  // as shown: after the turn that EXIF data ask for
  int width = 0;
};

// The claimed size of a JPEG, PNG, BMP, TIFF or WebP file, or nothing; then `why` says what is
// wrong with it: another format, truncated, a side of 0, more than kMaxImagePixels. Throws only
// what `file` throws.
std::optional<PictureSize> probe_picture(Bytes& file, std::string* why);

// Whether a file's name ends like one of these formats' names.
bool is_picture_name(const std::string& name);

}  // namespace ps::vision
