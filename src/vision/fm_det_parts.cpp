// Reads the packages' files. Photographs are decoded at a fraction of their size where the format
// can do that, which is most of the time that it takes.
#include "vision/fm_det_parts.h"

#include <algorithm>
#include <filesystem>
#include <opencv2/imgcodecs.hpp>
#include <string_view>

#include <ps/error.h>

#include "vision/idx.h"
#include "vision/resample.h"

namespace ps::vision {
namespace {

// Chosen by eye: photographs, no drawings. Order matters: every 4th is kept from training.
constexpr std::array<std::string_view, 26> kPhotos{"Bridge_by_Sander_Klootwijk.jpg",
                                                   "Dragonfly_by_Bolly.jpg",
                                                   "Kleiber_by_Lukas_Baubkus.jpg",
                                                   "Picture_0B_by_freespace.jpg",
                                                   "Picture_1A_by_freespace.jpg",
                                                   "Wine_by_Jakkub_Mede.jpg",
                                                   "aitzgorri_by_Aitzol_Berasategi.jpg",
                                                   "free_by_Peter_Nerlich.jpg",
                                                   "friends_by_Aitzol_Berasategi.jpg",
                                                   "greentock_by_Peter_Nerlich.jpg",
                                                   "life_by_Aitzol_Berasategi.jpg",
                                                   "mate/nature/Aqua.jpg",
                                                   "mate/nature/Blinds.jpg",
                                                   "mate/nature/Dune.jpg",
                                                   "mate/nature/FreshFlower.jpg",
                                                   "mate/nature/Garden.jpg",
                                                   "mate/nature/GreenMeadow.jpg",
                                                   "mate/nature/LadyBird.jpg",
                                                   "mate/nature/RainDrops.jpg",
                                                   "mate/nature/Storm.jpg",
                                                   "mate/nature/TwoWings.jpg",
                                                   "mate/nature/Wood.jpg",
                                                   "mate/nature/YellowFlower.jpg",
                                                   "picosdeeuropa_by_Aitzol_Berasategi.jpg",
                                                   "seeding_by_Clements_Engelhardt.jpg",
                                                   "sunset_by_Aitzol_Berasategi.jpg"};

constexpr std::array<int, 10> kCoarse{0, 1, 0, 2, 0, 3, 0, 3, 4, 3};  // of Fashion-MNIST's classes

[[noreturn]] void missing(const std::string& path) {
  throw Error(ErrorCode::kUnavailable,
              "fm-det: expected " + path +
                  ", which is not there: install the Debian packages dataset-fashion-mnist, "
                  "lomiri-wallpapers-16.04, lomiri-wallpapers-20.04 and mate-backgrounds");
}

Idx read_part(const std::string& share, const std::string& name) {
  const std::string path = share + "/datasets/fashion-mnist/" + name;
  if (!std::filesystem::exists(path)) missing(path);
  return read_idx(path);
}

Image decode_photo(const std::string& path, int side) {
  const Image whole = [&] {
    for (const int flag : {cv::IMREAD_REDUCED_COLOR_4, cv::IMREAD_REDUCED_COLOR_2}) {
      const cv::Mat decoded = cv::imread(path, flag);
      if (decoded.type() != CV_8UC3 || std::min(decoded.rows, decoded.cols) < side) continue;
      Image image = make_image(decoded.rows, decoded.cols);
      std::uint8_t* target = image.pixels.data();
      for (int y = 0; y < decoded.rows; ++y) {
        const auto* source = decoded.ptr<std::uint8_t>(y);
        for (int x = 0; x < decoded.cols; ++x, source += 3) {
          target = std::reverse_copy(source, source + 3, target);
        }
      }
      return image;
    }
    return read_image(path);
  }();
  return shrunk(whole, side);
}

}  // namespace

std::vector<std::string> fm_det_names(int classes) {
  if (classes == 5) return {"upper-body", "trouser", "dress", "shoe", "bag"};
  return {"t-shirt", "trouser", "pullover", "dress", "coat",
          "sandal",  "shirt",   "sneaker",  "bag",   "ankle-boot"};
}

Garments::Garments(const std::string& share, Split split, int classes)
    : members_(static_cast<std::size_t>(classes)) {
  const std::string prefix = split == Split::kTrain ? "train" : "t10k";
  const std::string images_name = prefix + "-images-idx3-ubyte.gz";
  Idx images = read_part(share, images_name);
  const Idx labels = read_part(share, prefix + "-labels-idx1-ubyte.gz");
  const std::size_t count = labels.values.size();
  if (labels.shape.size() != 1 || images.shape.size() != 3 || images.shape[0] != count ||
      images.shape[1] != kGarmentSide || images.shape[2] != kGarmentSide) {
    throw Error(ErrorCode::kCorrupt, "fm-det: expected " + images_name + " in " + share +
                                         " to hold 28x28 pictures, as many as there are labels");
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t fine = labels.values[i];
    if (fine >= kCoarse.size()) {
      throw Error(ErrorCode::kCorrupt, "fm-det: label " + std::to_string(fine) + " in the " +
                                           prefix + " labels of Fashion-MNIST; expected 0 to 9");
    }
    const int category = classes == 5 ? kCoarse.at(fine) : int{fine};
    members_[static_cast<std::size_t>(category)].push_back(static_cast<std::uint32_t>(i));
  }
  if (std::any_of(members_.begin(), members_.end(), [](const auto& m) { return m.empty(); })) {
    throw Error(ErrorCode::kCorrupt, "fm-det: a class has no garment in " + images_name);
  }
  pixels_ = std::move(images.values);
}

std::span<const std::uint8_t> Garments::pixels(int category, std::size_t member) const {
  constexpr std::size_t kPixels = std::size_t{kGarmentSide} * kGarmentSide;
  return std::span(pixels_).subspan(members(category)[member] * kPixels, kPixels);
}

Photos::Photos(const std::string& share, Split split, int size) : size_(size) {
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < kPhotos.size(); ++i) {
    if ((i % 4 == 3) == (split == Split::kTrain)) continue;
    paths.push_back(share + "/backgrounds/" + std::string(kPhotos.at(i)));
    if (!std::filesystem::exists(paths.back())) missing(paths.back());
  }
  photos_ = std::vector<Photo>(paths.size());
  for (std::size_t i = 0; i < paths.size(); ++i) photos_[i].path = paths[i];
}

std::span<const Image> Photos::levels(std::size_t index) const {
  Photo& photo = photos_[index];
  std::call_once(photo.once, [&] {
    photo.levels = halvings(decode_photo(photo.path, std::max(512, 2 * size_)), size_);
  });
  return photo.levels;
}

}  // namespace ps::vision
