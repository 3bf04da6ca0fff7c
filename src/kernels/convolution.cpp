#include "kernels/convolution.h"

#include <algorithm>
#include <cstdint>

#include "kernels/convolution_direct.h"
#include "kernels/convolution_math.h"

namespace ps::kernels {
namespace {

std::int64_t direct_floats(const Convolution& shape, std::int64_t lanes) {
  const Convolution s = flattened(shape, lanes);
  const Canvas input = input_canvas(s, lanes);
  const Canvas gradient = gradient_canvas(s, lanes);
  const Canvas output = output_canvas(s, lanes);
  const std::int64_t positions = (s.height + s.stride - 1) / s.stride;
  const std::int64_t canvas = needs_no_canvas(s, lanes)
                                  ? 0
                                  : std::max(canvas_floats(input, s.out_height(), s.stride),
                                             canvas_floats(gradient, positions, 1));
  const std::int64_t tile = kTileVectors * lanes;
  const auto correlate = [&](std::int64_t inputs, std::int64_t outputs, std::int64_t spread) {
    const std::int64_t rows = round_up(outputs, kMaxTileRows);
    const std::int64_t taps = inputs * s.kernel * s.kernel;
    return canvas + spread * rows * tile + taps * rows + taps;
  };
  const std::int64_t rows = block_rows(input, s.out_height(), s.stride);
  const std::int64_t images = canvas == 0 ? 0 : block_images(s, input);
  const std::int64_t weights = images * (input.channels * channel_pitch(input, rows, s.stride) +
                                         output.channels * channel_pitch(output, rows, 1));
  return std::max({correlate(input.channels, gradient.channels, 1),
                   correlate(gradient.channels, input.channels, s.stride), weights}) +
         4 * kAlignmentFloats;
}

std::int64_t product_floats(const Convolution& shape) {
  const std::int64_t columns =
      convolution_is_pointwise(shape)
          ? 0
          : convolution_taps(shape) * convolution_block_rows(shape) * shape.out_width();
  return kGemmWorkspaceFloats + columns;
}

}  // namespace

std::int64_t convolution_workspace_floats(const Convolution& shape) {
  const std::int64_t product = product_floats(shape);
  if (!forward_is_direct(shape) && !backward_data_is_direct(shape) &&
      !backward_weights_is_direct(shape)) {
    return product;
  }
  return std::max(
      {product, direct_floats(shape, 4), direct_floats(shape, 8), direct_floats(shape, 16)});
}

}  // namespace ps::kernels
