#include "found.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>

#include <ps/error.h>

namespace detect {
namespace {

void write_file(const std::string& path, const std::string& text) {
  std::error_code ignored;  // writing tells
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  std::ofstream file(path);
  file << text;
  if (!file.flush()) throw ps::Error(ps::ErrorCode::kIo, path + ": cannot be written");
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) result += c;
  }
  return result + "\"";
}

template <class... Values>
std::string formatted(const char* format, Values... values) {
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(), format, values...);
  return text.data();
}

std::string text_line(const ps::nn::Detection& box, ps::vision::ImageSize size, bool confidence) {
  const auto width = static_cast<float>(size.width);
  const auto height = static_cast<float>(size.height);
  std::string line = formatted("%d %.6g %.6g %.6g %.6g", box.category,
                               (box.x1 + box.x2) / 2 / width, (box.y1 + box.y2) / 2 / height,
                               (box.x2 - box.x1) / width, (box.y2 - box.y1) / height);
  if (confidence) line += formatted(" %.6g", box.score);
  return line + "\n";
}

}  // namespace

FoundWriter::FoundWriter(std::string folder, const FoundFormats& formats)
    : folder_(std::move(folder)), formats_(formats) {}

void FoundWriter::add(const std::string& name,
                      ps::vision::ImageSize size,
                      const std::vector<ps::nn::Detection>& boxes,
                      const std::vector<std::string>& names) {
  const std::string stem = std::filesystem::path(name).stem().string();
  std::string text;
  for (const ps::nn::Detection& box : boxes) {
    if (formats_.text) text += text_line(box, size, formats_.confidence);
    if (formats_.json) {
      json_ += json_.empty() ? "" : ",\n";
      json_ +=
          "{\"image_id\": " + quoted(stem) +
          formatted(", \"category_id\": %d, \"bbox\": [%.3f, %.3f, %.3f, %.3f], \"score\": %.5f}",
                    box.category, box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1, box.score);
    }
    if (formats_.csv) {
      csv_ += quoted(name) + "," + quoted(names[static_cast<std::size_t>(box.category)]) +
              formatted(",%.5f,%.2f,%.2f,%.2f,%.2f\n", box.score, box.x1, box.y1, box.x2, box.y2);
    }
  }
  if (formats_.text && !text.empty()) write_file(folder_ + "/labels/" + stem + ".txt", text);
}

void FoundWriter::add(const Judged& judged, const ps::vision::Dataset& data) {
  if (!formats_.text && !formats_.json && !formats_.csv) return;
  for (std::size_t i = 0; i < judged.found.size(); ++i) {
    const ps::vision::LetterboxFrame& frame = judged.batch.frames[i];
    std::vector<ps::nn::Detection> boxes = judged.found[i];
    for (ps::nn::Detection& box : boxes) box = in_source(frame, box);
    add(data.source(judged.batch.indices[i]), frame.source, boxes, data.names());
  }
}

void FoundWriter::finish() {
  if (formats_.json) write_file(folder_ + "/predictions.json", "[" + json_ + "]\n");
  if (formats_.csv) {
    write_file(folder_ + "/predictions.csv", "image,class,confidence,x1,y1,x2,y2\n" + csv_);
  }
}

}  // namespace detect
