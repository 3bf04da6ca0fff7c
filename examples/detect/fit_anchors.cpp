#include "fit_anchors.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include <ps/vision/anchors.h>

#include "gather.h"

namespace detect {
namespace {

using ps::nn::Anchor;
using ps::vision::BoxSize;

// In pixels of the network's input. Pictures are taken as square: their sizes are not read for
// this.
std::vector<BoxSize> boxes_of(const ps::vision::Dataset& data, int side) {
  std::vector<BoxSize> boxes;
  for (std::size_t i = 0; i < data.size(); ++i) {
    for (const ps::vision::Label& label : data.labels(i)) {
      const auto pixels = static_cast<float>(side);
      if (label.width > 0.0F && label.height > 0.0F) {
        boxes.push_back({label.width * pixels, label.height * pixels});
      }
    }
  }
  return boxes;
}

}  // namespace

void fit_anchors(ps::Session& session, Setup& setup) {
  std::vector<Anchor> given;
  for (const std::vector<Anchor>& level : setup.spec.table.anchors) {
    given.insert(given.end(), level.begin(), level.end());
  }
  std::vector<double> sides;
  const std::vector<BoxSize> boxes =
      session.rank() == 0 ? boxes_of(*setup.train, setup.spec.image_size) : std::vector<BoxSize>();
  if (!boxes.empty()) {
    const ps::vision::AnchorChoice choice = ps::vision::choose_anchors(
        boxes, given, {.threshold = setup.hyperparameters.anchor_t, .seed = session.seed()});
    std::printf("anchors: %.4f of %zu boxes have a fitting one%s\n", choice.given.recall,
                boxes.size(), choice.changed ? "" : "; they stay");
    if (choice.changed) {
      std::printf("anchors: new ones, which fit %.4f of the boxes:", choice.chosen.recall);
      for (const Anchor& each : choice.anchors) std::printf(" %.0f,%.0f", each.width, each.height);
      std::printf("\n");
      for (const Anchor& each : choice.anchors)
        sides.insert(sides.end(), {each.width, each.height});
    }
  }
  sides = gather(session, sides);
  std::size_t next = 0;
  for (std::vector<Anchor>& level : setup.spec.table.anchors) {
    for (Anchor& anchor : level) {
      if (next + 1 >= sides.size()) return;
      anchor = {static_cast<float>(sides[next]), static_cast<float>(sides[next + 1])};
      next += 2;
    }
  }
}

}  // namespace detect
