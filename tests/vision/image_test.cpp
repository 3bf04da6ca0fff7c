// Pictures through files of each format, and files that lie.
#include <fstream>
#include <iterator>
#include <opencv2/imgcodecs.hpp>
#include <string>

#include <ps/error.h>
#include <ps/vision/image.h>

#include "ops/temporary_directory.h"
#include "support/catch.h"
#include "vision/bytes.h"
#include "vision/picture_file.h"
#include "vision/pixels.h"

namespace ps::vision {
namespace {

// Smooth, so that lossy formats keep it; red, green and blue differ.
Image ramp(int height, int width) {
  Image image = make_image(height, width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      std::uint8_t* pixel = image.pixels.data() + (y * width + x) * 3;
      pixel[0] = static_cast<std::uint8_t>(200 + x);
      pixel[1] = static_cast<std::uint8_t>(100 + y);
      pixel[2] = static_cast<std::uint8_t>(20 + x / 2);
    }
  }
  return image;
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string error_of(const std::string& path) {
  try {
    (void)read_image(path);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kCorrupt);
    return error.what();
  }
  return "none";
}

int largest_difference(const Image& a, const Image& b) {
  int largest = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    largest = std::max(largest, std::abs(int{a.pixels[i]} - int{b.pixels[i]}));
  }
  return largest;
}

TEST_CASE("image: what is written is read again, in red, green, blue", "[vision]") {
  const test::TemporaryDirectory folder;
  const Image image = ramp(18, 40);
  const std::string format = GENERATE(as<std::string>{}, "png", "bmp", "tif", "jpg", "webp");
  CAPTURE(format);
  const std::string path = folder.file("a." + format);
  write_image(path, image);
  const Image again = read_image(path);
  REQUIRE(again.height == 18);
  REQUIRE(again.width == 40);
  const bool lossy = format == "jpg" || format == "webp";
  CHECK(largest_difference(image, again) <= (lossy ? 8 : 0));

  FileBytes file(path);
  std::string why;
  const auto size = probe_picture(file, &why);
  CAPTURE(why);
  REQUIRE(size);
  CHECK(size->height == 18);
  CHECK(size->width == 40);
}

TEST_CASE("image: a grey picture is read as three equal channels", "[vision]") {
  const test::TemporaryDirectory folder;
  const cv::Mat grey(12, 13, CV_8UC1, cv::Scalar(77));
  REQUIRE(cv::imwrite(folder.file("grey.png"), grey));
  const Image image = read_image(folder.file("grey.png"));
  REQUIRE(image.pixels.size() == 12 * 13 * 3);
  CHECK(std::all_of(image.pixels.begin(), image.pixels.end(), [](auto p) { return p == 77; }));
}

TEST_CASE("image: OpenCV's view has the same bytes", "[vision]") {
  Image image = make_image(4, 5);
  view(image).at<cv::Vec3b>(2, 3) = cv::Vec3b(1, 2, 3);
  CHECK(image.pixels[(2 * 5 + 3) * 3] == 1);
  CHECK(image.pixels[(2 * 5 + 3) * 3 + 2] == 3);
}

TEST_CASE("image: a file cut short anywhere is an error that names it", "[vision]") {
  const test::TemporaryDirectory folder;
  const std::string format = GENERATE(as<std::string>{}, "png", "jpg", "bmp", "webp");
  write_image(folder.file("a." + format), ramp(18, 40));
  const std::string whole = contents(folder.file("a." + format));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    MemoryBytes file(std::span(reinterpret_cast<const std::uint8_t*>(whole.data()), bytes));
    std::string why;
    CAPTURE(format, bytes);
    CHECK_FALSE(probe_picture(file, &why));
    CHECK_FALSE(why.empty());
  }
  const std::string path = folder.write("cut." + format, whole.substr(0, whole.size() / 2));
  CHECK(error_of(path).find(path + ": ") == 0);
}

TEST_CASE("image: a small file that claims a huge picture is refused before memory is taken",
          "[vision]") {
  const test::TemporaryDirectory folder;
  write_image(folder.file("a.png"), ramp(18, 40));
  std::string bytes = contents(folder.file("a.png"));
  bytes.replace(16, 8, std::string("\x00\x01\x86\xA0\x00\x01\x86\xA0", 8));  // 100000 x 100000
  const std::string path = folder.write("huge.png", bytes);
  CHECK(error_of(path).find("claims 100000x100000 pixels") != std::string::npos);
}

TEST_CASE("image: bytes after a picture's end do no harm", "[vision]") {
  const test::TemporaryDirectory folder;
  const std::string format = GENERATE(as<std::string>{}, "png", "jpg");
  write_image(folder.file("a." + format), ramp(18, 40));
  const std::string path =
      folder.write("more." + format, contents(folder.file("a." + format)) + "appended");
  CHECK(read_image(path) == read_image(folder.file("a." + format)));
}

TEST_CASE("image: a JPEG is turned as its EXIF data say, and its header is read so too",
          "[vision]") {
  const test::TemporaryDirectory folder;
  write_image(folder.file("a.jpg"), ramp(18, 40));
  std::string bytes = contents(folder.file("a.jpg"));
  const std::string exif(
      "\xFF\xE1\0\x22"
      "Exif\0\0"
      "MM\0*\0\0\0\x08"
      "\0\x01"                              // one entry:
      "\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"  // orientation 6, a quarter to the right
      "\0\0\0\0",
      36);
  const std::string path = folder.write("turned.jpg", bytes.insert(2, exif));
  const Image image = read_image(path);
  CHECK(image.height == 40);
  CHECK(image.width == 18);
  FileBytes file(path);
  std::string why;
  const auto size = probe_picture(file, &why);
  REQUIRE(size);
  CHECK(size->height == 40);
  CHECK(size->width == 18);
}

TEST_CASE("image: flipped bits never crash the reader", "[vision]") {
  const test::TemporaryDirectory folder;
  const std::string format = GENERATE(as<std::string>{}, "png", "jpg", "bmp", "tif", "webp");
  write_image(folder.file("a." + format), ramp(10, 10));
  const std::string whole = contents(folder.file("a." + format));
  for (std::size_t i = 0; i < std::min<std::size_t>(whole.size(), 160); ++i) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ (1 << (i % 8)));
    MemoryBytes file(std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
    std::string why;
    const auto size = probe_picture(file, &why);
    CHECK((size || !why.empty()));
  }
}

TEST_CASE("image: an unknown name or an empty picture is not written", "[vision]") {
  const test::TemporaryDirectory folder;
  CHECK_THROWS_AS(write_image(folder.file("a.xyz"), ramp(10, 10)), Error);
  CHECK_THROWS_AS(write_image(folder.file("a.png"), Image{}), Error);
  CHECK_THROWS_AS(write_image(folder.file("none/a.png"), ramp(10, 10)), Error);
  CHECK_THROWS_AS(read_image(folder.file("absent.png")), Error);
  CHECK_THROWS_AS(read_image(folder.path()), Error);
}

}  // namespace
}  // namespace ps::vision
