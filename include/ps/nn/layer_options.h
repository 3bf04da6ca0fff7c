// What a graph's layers are made of: shapes, values, and each layer's settings.
#pragma once

#include <cstdint>

namespace ps::nn {

// One sample's values, row-major [channels, height, width]; a flat vector has height = width = 1.
struct Shape {
  std::int64_t channels = 1;
  std::int64_t height = 1;
  std::int64_t width = 1;

  [[nodiscard]] std::int64_t size() const noexcept { return channels * height * width; }
  friend bool operator==(const Shape&, const Shape&) = default;
};

// A layer's output, as the input of the next.
struct Value {
  int index = 0;
};

struct ConvolutionOptions {
  std::int64_t out = 1;  // channels
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t groups = 1;
  bool bias = true;  // of no use before a batch_norm
};

struct BatchNormOptions {
  float epsilon = 1e-5F;
  float momentum = 0.1F;  // running = (1 - momentum) * running + momentum * batch's
  bool silu = false;      // followed by that activation: fewer values to keep
};

struct MaxPoolOptions {
  std::int64_t kernel = 2;
  std::int64_t stride = 0;       // 0: the kernel's size
  std::int64_t padding = 0;      // at every side; never wins
  std::int64_t padding_end = 0;  // more at the right and the bottom; in all less than the kernel
};

// The channels [first, first + count).
struct SliceOptions {
  std::int64_t first = 0;
  std::int64_t count = 1;
};

// Pixels added at each side.
struct PadOptions {
  std::int64_t left = 0;
  std::int64_t right = 0;
  std::int64_t top = 0;
  std::int64_t bottom = 0;
};

}  // namespace ps::nn
