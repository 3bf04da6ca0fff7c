// Makes training samples one after the other in memory of its own; what is drawn and in what order
// is told in augment.h.
#pragma once

#include <string>
#include <vector>

#include <ps/vision/augment.h>
#include <ps/vision/dataset.h>

#include "base/random.h"
#include "vision/canvas.h"

namespace ps::vision {

// One thread at a time. `data` outlives it.
class SampleMaker {
 public:
  explicit SampleMaker(const Dataset& data);

  // As augmented(), for options that were checked; valid until the next call.
  const Canvas& make(const SampleKey& key,
                     ImageSize size,
                     const Augmentation& options,
                     std::vector<std::string>* faults);
  // How the picture of the last sample lies in it; as if there were no mosaic and change of view.
  [[nodiscard]] const LetterboxFrame& frame() const { return frame_; }

 private:
  struct Task {  // what make() was called with
    SampleKey key;
    ImageSize size;
    const Augmentation& options;
    std::vector<std::string>* faults;
  };

  Sample load(const Task& task, std::size_t index) const;
  std::size_t any_index(Random& random) const;
  // Mosaic, copy_paste and change of view of picture `index`, with the numbers of this lane.
  void compose(const Task& task, std::size_t index, std::uint32_t lane, Canvas& result);
  LetterboxFrame mosaic_of(const Task& task, std::size_t index, Random& random);

  const Dataset& data_;
  LetterboxFrame frame_;
  Canvas scene_;   // before the change of view
  Canvas result_;  // the sample
  Canvas other_;   // the picture to mix with
};

}  // namespace ps::vision
