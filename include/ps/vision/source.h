// Pictures to look for objects in, one after another: of files, folders, globs and videos; and
// videos to write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ps/vision/image.h>

namespace ps::vision {

struct Frame {
  Image image;
  std::string path;  // of the file
  bool video = false;
  std::uint64_t number = 0;  // of a video's frame, from 0
  double fps = 0.0;          // of a video
};

// One thread's.
class FrameSource {
 public:
  // Each a picture, a video, a folder (its pictures and videos, by name) or a glob
  // ("photos/*.jpg"). Throws Error(kInvalidArgument) naming what is none of these, or where nothing
  // fits.
  explicit FrameSource(const std::vector<std::string>& sources);
  ~FrameSource();
  FrameSource(const FrameSource&) = delete;
  FrameSource& operator=(const FrameSource&) = delete;

  // How many files there are.
  [[nodiscard]] std::size_t files() const noexcept;
  // The next picture or frame; nothing at the end. Throws Error(kIo, kCorrupt) naming a file that
  // cannot be read; the next call goes on with the file after it.
  std::optional<Frame> next();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// A video file of frames of one size; one thread's.
class VideoWriter {
 public:
  // An .mp4 or .avi; fps > 0. Throws Error(kIo) where this machine has no encoder for it.
  VideoWriter(const std::string& path, int height, int width, double fps);
  ~VideoWriter();
  VideoWriter(const VideoWriter&) = delete;
  VideoWriter& operator=(const VideoWriter&) = delete;

  // Throws Error(kInvalidArgument) for another size.
  void add(const Image& image);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ps::vision
