#include "vision/canvas.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <utility>

#include "vision/pixels.h"

namespace ps::vision {

namespace {

cv::Scalar background() {
  return {kGray, kGray, kGray};
}

cv::Rect whole(const cv::Mat& pixels) {
  return {0, 0, pixels.cols, pixels.rows};
}

// Clips the objects to `area` and removes what is left of those outside.
void crop_objects(const Box& area_of_view, std::vector<Object>& objects) {
  std::erase_if(objects, [&area_of_view](Object& object) {
    object.box = intersection(object.box, area_of_view);
    if (!object.polygon.empty()) object.polygon = clipped(object.polygon, area_of_view);
    return !(area(object.box) > 0);
  });
}

Box box_of(const cv::Rect& rect) {
  return {static_cast<float>(rect.x), static_cast<float>(rect.y),
          static_cast<float>(rect.x + rect.width), static_cast<float>(rect.y + rect.height)};
}

// A tile of a mosaic whose upper left corner comes to (x, y).
void put_tile(const cv::Mat& tile, int x, int y, std::span<const Label> labels, Canvas& canvas) {
  const cv::Rect target = cv::Rect(x, y, tile.cols, tile.rows) & whole(canvas.pixels);
  if (target.empty()) return;
  tile(target - cv::Point(x, y)).copyTo(canvas.pixels(target));
  std::vector<Object> objects =
      to_objects(labels, {tile.rows, tile.cols}, static_cast<float>(x), static_cast<float>(y));
  crop_objects(box_of(target), objects);
  std::move(objects.begin(), objects.end(), std::back_inserter(canvas.objects));
}

}  // namespace

void use_no_threads() {
  static const bool done = [] {
    cv::setNumThreads(1);
    return true;
  }();
  static_cast<void>(done);
}

void resize(const cv::Mat& from, ImageSize size, cv::Mat& to) {
  if (from.rows == size.height && from.cols == size.width) {
    from.copyTo(to);
    return;
  }
  const bool far_smaller = 2 * size.height < from.rows && 2 * size.width < from.cols;
  cv::resize(from, to, cv::Size(size.width, size.height), 0, 0,
             far_smaller ? cv::INTER_AREA : cv::INTER_LINEAR);
}

LetterboxFrame place(const Sample& sample, ImageSize size, Canvas& canvas) {
  const cv::Mat picture = view(sample.image);
  const LetterboxFrame frame = letterbox_frame({picture.rows, picture.cols}, size);
  canvas.pixels.create(size.height, size.width, CV_8UC3);
  if (frame.inner != size) canvas.pixels.setTo(background());
  cv::Mat inside =
      canvas.pixels(cv::Rect(frame.left, frame.top, frame.inner.width, frame.inner.height));
  resize(picture, frame.inner, inside);
  canvas.objects = to_objects(sample.labels, frame.inner, static_cast<float>(frame.left),
                              static_cast<float>(frame.top));
  return frame;
}

void mosaic(const std::array<Sample, 4>& samples,
            ImageSize size,
            MosaicCenter center,
            Canvas& canvas) {
  canvas.pixels.create(2 * size.height, 2 * size.width, CV_8UC3);
  canvas.pixels.setTo(background());
  canvas.objects.clear();
  cv::Mat scaled;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const cv::Mat picture = view(samples[i].image);
    const ImageSize inner = letterbox_frame({picture.rows, picture.cols}, size).inner;
    const bool same = inner == ImageSize{picture.rows, picture.cols};
    if (!same) resize(picture, inner, scaled);
    const int x = i % 2 == 0 ? center.x - inner.width : center.x;
    const int y = i < 2 ? center.y - inner.height : center.y;
    put_tile(same ? picture : scaled, x, y, samples[i].labels, canvas);
  }
}

void change_view(const View& view, Canvas& from, ImageSize size, Canvas& to) {
  const cv::Matx33d matrix = view_matrix(view, from.size(), size);
  // The matrix is about places, in which pixel 0 reaches from 0 to 1; OpenCV's about pixels'
  // middles.
  const cv::Matx33d half(1, 0, 0.5, 0, 1, 0.5, 0, 0, 1);
  const cv::Matx33d back(1, 0, -0.5, 0, 1, -0.5, 0, 0, 1);
  const cv::Matx33d of_pixels = back * matrix * half;
  const cv::Size output(size.width, size.height);
  if (view.perspective_x != 0 || view.perspective_y != 0) {
    cv::warpPerspective(from.pixels, to.pixels, of_pixels, output, cv::INTER_LINEAR,
                        cv::BORDER_CONSTANT, background());
  } else {
    cv::warpAffine(from.pixels, to.pixels, of_pixels.get_minor<2, 3>(0, 0), output,
                   cv::INTER_LINEAR, cv::BORDER_CONSTANT, background());
  }
  to.objects = std::exchange(from.objects, {});
  move_objects(matrix, view.scale, size, to.objects);
}

void recolor(const std::array<double, 3>& gains, cv::Mat& pixels) {
  if (gains == std::array<double, 3>{1, 1, 1}) return;
  cv::Mat table(1, 256, CV_8UC3);
  for (int i = 0; i < 256; ++i) {
    const auto bounded = [i](double gain) {
      return static_cast<std::uint8_t>(std::clamp(i * gain, 0.0, 255.0));
    };
    table.at<cv::Vec3b>(0, i) = {static_cast<std::uint8_t>(std::fmod(i * gains[0], 180.0)),
                                 bounded(gains[1]), bounded(gains[2])};
  }
  cv::cvtColor(pixels, pixels, cv::COLOR_RGB2HSV);
  cv::LUT(pixels, table, pixels);
  cv::cvtColor(pixels, pixels, cv::COLOR_HSV2RGB);
}

void flip_vertically(Canvas& canvas) {
  cv::flip(canvas.pixels, canvas.pixels, 0);
  const auto height = static_cast<float>(canvas.pixels.rows);
  for (Object& object : canvas.objects) {
    object.box = {object.box.x1, height - object.box.y2, object.box.x2, height - object.box.y1};
    for (std::size_t i = 1; i < object.polygon.size(); i += 2) {
      object.polygon[i] = height - object.polygon[i];
    }
  }
}

void flip_horizontally(Canvas& canvas) {
  cv::flip(canvas.pixels, canvas.pixels, 1);
  const auto width = static_cast<float>(canvas.pixels.cols);
  for (Object& object : canvas.objects) {
    object.box = {width - object.box.x2, object.box.y1, width - object.box.x1, object.box.y2};
    for (std::size_t i = 0; i < object.polygon.size(); i += 2) {
      object.polygon[i] = width - object.polygon[i];
    }
  }
}

void to_planes(const cv::Mat& pixels, std::span<float> chw) {
  static const std::array<float, 256> parts = [] {
    std::array<float, 256> table{};
    for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i) / 255.0F;
    return table;
  }();
  const auto width = static_cast<std::size_t>(pixels.cols);
  const std::size_t plane = static_cast<std::size_t>(pixels.rows) * width;
  for (int y = 0; y < pixels.rows; ++y) {
    const std::uint8_t* from = pixels.ptr<std::uint8_t>(y);
    float* to = chw.data() + static_cast<std::size_t>(y) * width;
    for (std::size_t x = 0; x < width; ++x) {
      to[x] = parts[from[3 * x]];
      to[plane + x] = parts[from[3 * x + 1]];
      to[2 * plane + x] = parts[from[3 * x + 2]];
    }
  }
}

}  // namespace ps::vision
