// Every number that is drawn is an integer; where a real number would be natural it is in 1/256.
#include "vision/fm_det_scene.h"

#include <algorithm>

#include "base/random.h"
#include "vision/resample.h"

namespace ps::vision {
namespace {

constexpr int kVisible = 24;      // darker pixels do not belong to the box
constexpr unsigned kOpaque = 96;  // brighter pixels hide what is behind
constexpr int kPlacements = 10;

enum class Part : std::uint64_t { kPieces, kBackground };

// Index, part and split never share bits, so no two pictures share numbers.
Random numbers(const SceneKey& key, Part part) {
  return Random(key.seed, key.index << 8U | static_cast<std::uint64_t>(key.split) << 4U |
                              static_cast<std::uint64_t>(part));
}

// Uniform in [low, high].
int draw(Random& random, int low, int high) {
  return low + static_cast<int>(random.below(static_cast<std::uint64_t>(high - low) + 1));
}

// The box of what can be seen within `grey`; false when there is nothing.
bool find_box(Piece& piece) {
  piece.x1 = piece.y1 = piece.side;
  piece.x2 = piece.y2 = 0;
  const std::uint8_t* pixel = piece.grey.data();
  for (int y = 0; y < piece.side; ++y) {
    for (int x = 0; x < piece.side; ++x) {
      if (*pixel++ <= kVisible) continue;
      piece.x1 = std::min(piece.x1, x);
      piece.y1 = std::min(piece.y1, y);
      piece.x2 = std::max(piece.x2, x + 1);
      piece.y2 = std::max(piece.y2, y + 1);
    }
  }
  return piece.x2 > 0;
}

bool hides(const Piece& a, const Piece& b) {
  const int width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const int height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return false;
  const int smaller = std::min((a.x2 - a.x1) * (a.y2 - a.y1), (b.x2 - b.x1) * (b.y2 - b.y1));
  return 10 * width * height >= smaller;
}

void move_to(Piece& piece, int left, int top) {
  piece.x1 += left - piece.left;
  piece.x2 += left - piece.left;
  piece.y1 += top - piece.top;
  piece.y2 += top - piece.top;
  piece.left = left;
  piece.top = top;
}

// Looks for a place; false when kPlacements were taken.
bool place(Piece& piece, const std::vector<Piece>& others, Random& random, int size) {
  for (int attempt = 0; attempt < kPlacements; ++attempt) {
    const int left = draw(random, 0, size - piece.side);
    move_to(piece, left, draw(random, 0, size - piece.side));
    const auto collides = [&](const Piece& other) { return hides(piece, other); };
    if (std::none_of(others.begin(), others.end(), collides)) return true;
  }
  return false;
}

void draw_piece(const Piece& piece, Image& image) {
  const std::uint8_t* grey = piece.grey.data();
  for (int y = 0; y < piece.side; ++y) {
    std::uint8_t* pixel = image.pixels.data() + 3 * (static_cast<std::size_t>(piece.top + y) *
                                                         static_cast<std::size_t>(image.width) +
                                                     static_cast<std::size_t>(piece.left));
    for (int x = 0; x < piece.side; ++x, ++grey, pixel += 3) {
      const std::uint32_t alpha = std::min<std::uint32_t>(*grey * 256U / kOpaque, 256U);
      for (std::size_t c = 0; c < 3; ++c) {
        const std::uint32_t colour = *grey * piece.tint.at(c) / 256U;
        pixel[c] =
            static_cast<std::uint8_t>((pixel[c] * (256U - alpha) + colour * alpha + 128U) / 256U);
      }
    }
  }
}

}  // namespace

std::vector<Piece> plan_scene(const Garments& garments, const SceneKey& key, int size) {
  Random random = numbers(key, Part::kPieces);
  // Sides of 1 to 2.4 times 28 pixels in a picture of 160.
  const int smallest = (kGarmentSide * size + 80) / 160;
  const int largest = (kGarmentSide * size * 12 + 400) / 800;
  std::vector<Piece> pieces;
  const int count = draw(random, 1, 4);
  for (int i = 0; i < count; ++i) {
    Piece piece;
    piece.category = draw(random, 0, garments.classes() - 1);
    const std::uint64_t member = random.below(garments.count(piece.category));
    piece.side = draw(random, smallest, largest);
    for (std::uint32_t& tint : piece.tint) {
      tint = static_cast<std::uint32_t>(draw(random, 128, 256));
    }
    piece.grey = stretched(garments.pixels(piece.category, member), kGarmentSide, piece.side);
    if (find_box(piece) && place(piece, pieces, random, size)) pieces.push_back(std::move(piece));
  }
  return pieces;
}

std::vector<Label> scene_labels(const std::vector<Piece>& pieces, int size) {
  std::vector<Label> labels;
  labels.reserve(pieces.size());
  const auto fraction = [&](int half_pixels) {
    return static_cast<float>(static_cast<double>(half_pixels) / (2.0 * size));
  };
  for (const Piece& piece : pieces) {
    labels.push_back({piece.category,
                      fraction(piece.x1 + piece.x2),
                      fraction(piece.y1 + piece.y2),
                      fraction(2 * (piece.x2 - piece.x1)),
                      fraction(2 * (piece.y2 - piece.y1)),
                      {}});
  }
  return labels;
}

Image draw_scene(const Photos& photos,
                 const SceneKey& key,
                 const std::vector<Piece>& pieces,
                 int size) {
  Random random = numbers(key, Part::kBackground);
  const auto levels = photos.levels(random.below(photos.count()));
  const Image& photo = levels.front();
  const int largest = std::min(photo.height, photo.width);
  Square square;
  square.side = draw(random, std::min(size, largest), largest);
  square.left = draw(random, 0, photo.width - square.side);
  square.top = draw(random, 0, photo.height - square.side);
  Image image = crop(levels, square, size, draw(random, 0, 1) == 1);
  for (const Piece& piece : pieces) draw_piece(piece, image);
  return image;
}

}  // namespace ps::vision
