// Dynamic loss scaling for 16-bit gradients: multiply the loss by scale(), divide the gradients by
// it, and let the servers drop a step that is not finite (Finite::kStep).
#pragma once

#include <cstdint>

#include <ps/model.h>

namespace ps {

// One per worker. All of them see the same steps skipped, so all have the same scale. Micikevicius
// et al., 2018; the numbers are PyTorch's GradScaler's.
class LossScale {
 public:
  explicit LossScale(float initial = 65536.0F, std::uint32_t growth_steps = 2000) noexcept
      : scale_(initial), growth_steps_(growth_steps) {}

  [[nodiscard]] float scale() const noexcept { return scale_; }

  // After every step: halves the scale when the step was not finite, doubles it (up to 2^24) after
  // growth_steps steps in a row that were. Returns whether the step counted.
  bool update(const StepInfo& info) noexcept {
    if (info.nonfinite + info.skipped > 0) {
      scale_ = scale_ > 1.0F ? scale_ * 0.5F : scale_;
      good_steps_ = 0;
      return false;
    }
    if (++good_steps_ == growth_steps_) {
      scale_ = scale_ < 16777216.0F ? scale_ * 2.0F : scale_;
      good_steps_ = 0;
    }
    return true;
  }

 private:
  float scale_;
  std::uint32_t growth_steps_;
  std::uint32_t good_steps_ = 0;
};

}  // namespace ps
