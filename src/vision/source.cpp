// Files by name and kind, and OpenCV's readers and writers of videos.
#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <glob.h>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>

#include <ps/error.h>
#include <ps/vision/source.h>

#include "vision/picture_file.h"
#include "vision/pixels.h"

namespace ps::vision {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 8> kVideoEndings{".mp4",  ".avi", ".mov", ".mkv",
                                                   ".webm", ".m4v", ".mpg", ".mpeg"};

bool is_video_name(const std::string& name) {
  std::string ending = fs::path(name).extension().string();
  std::ranges::transform(ending, ending.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::ranges::find(kVideoEndings, ending) != kVideoEndings.end();
}

bool is_readable_name(const std::string& name) {
  return is_picture_name(name) || is_video_name(name);
}

std::vector<std::string> in_folder(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_regular_file(error) && is_readable_name(entry.path().string())) {
      files.push_back(entry.path().string());
    }
  }
  std::ranges::sort(files);
  return files;
}

std::vector<std::string> matching(const std::string& pattern) {
  std::vector<std::string> files;
  ::glob_t found{};
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) {
      if (is_readable_name(found.gl_pathv[i])) files.emplace_back(found.gl_pathv[i]);
    }
  }
  ::globfree(&found);
  return files;
}

std::vector<std::string> files_of(const std::string& source) {
  std::error_code error;
  if (fs::is_directory(source, error)) return in_folder(source);
  if (fs::is_regular_file(source, error)) {
    if (is_readable_name(source)) return {source};
    throw Error(ErrorCode::kInvalidArgument,
                source +
                    ": expected a picture (.jpg, .png, .bmp, .tif, .webp) or a video (.mp4, .avi, "
                    ".mov, .mkv, .webm, .m4v, .mpg)");
  }
  return matching(source);
}

void swap_channels(const cv::Mat& from, cv::Mat to) {
  cv::cvtColor(from, to, cv::COLOR_BGR2RGB);
}

}  // namespace

class FrameSource::Impl {
 public:
  std::vector<std::string> files;

  std::optional<Frame> next() {
    while (true) {
      if (video_.isOpened()) {
        if (std::optional<Frame> frame = next_of_video()) return frame;
        video_.release();
      }
      if (next_file_ == files.size()) return std::nullopt;
      const std::string& path = files[next_file_++];
      if (!is_video_name(path)) return Frame{.image = read_image(path), .path = path};
      open(path);
    }
  }

 private:
  void open(const std::string& path) {
    try {
      video_.open(path);
    } catch (const cv::Exception& error) {
      throw Error(ErrorCode::kCorrupt, path + ": cannot be read as a video: " + error.err);
    }
    if (!video_.isOpened()) throw Error(ErrorCode::kCorrupt, path + ": cannot be read as a video");
    frames_ = 0;
    path_ = path;
  }

  std::optional<Frame> next_of_video() {
    cv::Mat pixels;
    if (!video_.read(pixels) || pixels.empty() || pixels.type() != CV_8UC3) return std::nullopt;
    Frame frame{.image = make_image(pixels.rows, pixels.cols),
                .path = path_,
                .video = true,
                .number = frames_++,
                .fps = video_.get(cv::CAP_PROP_FPS)};
    swap_channels(pixels, view(frame.image));
    return frame;
  }

  std::size_t next_file_ = 0;
  cv::VideoCapture video_;
  std::string path_;
  std::uint64_t frames_ = 0;
};

FrameSource::FrameSource(const std::vector<std::string>& sources)
    : impl_(std::make_unique<Impl>()) {
  for (const std::string& source : sources) {
    const std::vector<std::string> files = files_of(source);
    if (files.empty()) {
      throw Error(ErrorCode::kInvalidArgument,
                  source + ": there is no picture or video: expected a file, a folder or a glob");
    }
    impl_->files.insert(impl_->files.end(), files.begin(), files.end());
  }
}

FrameSource::~FrameSource() = default;

std::size_t FrameSource::files() const noexcept {
  return impl_->files.size();
}

std::optional<Frame> FrameSource::next() {
  return impl_->next();
}

class VideoWriter::Impl {
 public:
  cv::VideoWriter writer;
  cv::Mat swapped;
  std::string path;
};

VideoWriter::VideoWriter(const std::string& path, int height, int width, double fps)
    : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  impl_->swapped.create(height, width, CV_8UC3);
  const bool avi = path.ends_with(".avi");
  const int codec = avi ? cv::VideoWriter::fourcc('M', 'J', 'P', 'G')
                        : cv::VideoWriter::fourcc('m', 'p', '4', 'v');
  bool opened = false;
  try {
    opened = impl_->writer.open(path, codec, fps > 0.0 ? fps : 25.0, {width, height});
  } catch (const cv::Exception&) {
    opened = false;
  }
  if (!opened) {
    throw Error(ErrorCode::kIo,
                path + ": a video of " + std::to_string(width) + "x" + std::to_string(height) +
                    " pixels cannot be written; is the folder there, and has OpenCV an encoder?");
  }
}

VideoWriter::~VideoWriter() = default;

void VideoWriter::add(const Image& image) {
  if (image.height != impl_->swapped.rows || image.width != impl_->swapped.cols) {
    throw Error(ErrorCode::kInvalidArgument, impl_->path + ": expected frames of one size");
  }
  swap_channels(view(image), impl_->swapped);
  impl_->writer.write(impl_->swapped);
}

}  // namespace ps::vision
