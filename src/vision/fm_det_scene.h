// One picture of FM-Det: what lies where, and how it is drawn. Pure: a function of what it is made
// of and of random numbers keyed by (seed, split, index), in integers.
#pragma once

#include <cstdint>
#include <vector>

#include "vision/fm_det_parts.h"

namespace ps::vision {

struct SceneKey {
  std::uint64_t seed = 0;
  Split split = Split::kTrain;
  std::uint64_t index = 0;
};

// A garment in the picture, in the picture's pixels.
struct Piece {
  int category = 0;
  int side = 0;                    // of `grey`
  std::vector<std::uint8_t> grey;  // [side, side], lies at (left, top)
  int left = 0;
  int top = 0;
  int x1 = 0;  // the tight box of what can be seen: [x1, x2) x [y1, y2)
  int y1 = 0;
  int x2 = 0;
  int y2 = 0;
  std::array<std::uint32_t, 3> tint{};  // of 256
};

// 1 to 4 garments, of which none covers another's box by a tenth of the smaller; those for which no
// place is found are left out.
std::vector<Piece> plan_scene(const Garments& garments, const SceneKey& key, int size);

std::vector<Label> scene_labels(const std::vector<Piece>& pieces, int size);

Image draw_scene(const Photos& photos,
                 const SceneKey& key,
                 const std::vector<Piece>& pieces,
                 int size);

}  // namespace ps::vision
