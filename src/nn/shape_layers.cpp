// Layers that move values without changing them.
#include <algorithm>

#include "kernels/backend.h"
#include "nn/check.h"
#include "nn/layer.h"

namespace ps::nn {
namespace {

class UpsampleLayer final : public Layer {
 public:
  UpsampleLayer(const Shape& input, std::int64_t factor)
      : Layer("upsample",
              {.channels = input.channels,
               .height = input.height * factor,
               .width = input.width * factor}),
        shape_{.height = input.height, .width = input.width, .factor = factor} {}

  void forward(const Call& call) override {
    shape_.planes = call.batch * output().channels;
    call.backend->upsample(shape_, call.x[0], call.y);
  }
  void backward(const Call& call) override {
    if (call.dx[0] == nullptr) return;
    shape_.planes = call.batch * output().channels;
    call.backend->upsample_backward(shape_, call.dy, call.dx[0]);
  }

 private:
  kernels::Upsample shape_;
};

class ZeroPadLayer final : public Layer {
 public:
  ZeroPadLayer(const Shape& input, const kernels::Pad& pad)
      : Layer("zero_pad",
              {.channels = input.channels, .height = pad.out_height(), .width = pad.out_width()}),
        pad_(pad) {}

  void forward(const Call& call) override {
    pad_.planes = call.batch * output().channels;
    call.backend->pad(pad_, call.x[0], call.y);
  }
  void backward(const Call& call) override {
    if (call.dx[0] == nullptr) return;
    pad_.planes = call.batch * output().channels;
    call.backend->pad_backward(pad_, call.dy, call.dx[0]);
  }

 private:
  kernels::Pad pad_;
};

// Concatenation of channels, too: a sample's channels lie one after another.
class JoinLayer final : public Layer {
 public:
  JoinLayer(const char* name, std::span<const Shape> inputs, const Shape& output)
      : Layer(name, output) {
    std::int64_t offset = 0;
    for (const Shape& input : inputs) {
      parts_.push_back({.floats = input.size(), .offset = offset, .whole = output.size()});
      offset += input.size();
    }
  }

  void forward(const Call& call) override {
    for (std::size_t k = 0; k < parts_.size(); ++k) {
      parts_[k].batch = call.batch;
      call.backend->join(parts_[k], call.x[k], call.y);
    }
  }
  void backward(const Call& call) override {
    for (std::size_t k = 0; k < parts_.size(); ++k) {
      if (call.dx[k] != nullptr) call.backend->take(parts_[k], call.dy, call.dx[k]);
    }
  }

 private:
  std::vector<kernels::JoinedPart> parts_;
};

class SliceLayer final : public Layer {
 public:
  SliceLayer(const Shape& input, const SliceOptions& options)
      : Layer("slice", {.channels = options.count, .height = input.height, .width = input.width}),
        part_{.floats = output().size(),
              .offset = options.first * input.height * input.width,
              .whole = input.size()} {}

  void forward(const Call& call) override {
    part_.batch = call.batch;
    call.backend->take(part_, call.x[0], call.y);
  }
  void backward(const Call& call) override {
    part_.batch = call.batch;
    if (call.dx[0] != nullptr) call.backend->join_alone(part_, call.dy, call.dx[0]);
  }

 private:
  kernels::JoinedPart part_;
};

void require_count(const char* name, std::span<const Shape> inputs) {
  require(!inputs.empty() && inputs.size() <= kMaxInputs, name,
          "expected 1 to " + std::to_string(kMaxInputs) + " values, got " +
              std::to_string(inputs.size()));
}

}  // namespace

std::unique_ptr<Layer> make_upsample(const Shape& input, std::int64_t factor) {
  constexpr std::int64_t kMaxFactor = 1024;
  require(factor > 0 && factor <= kMaxFactor, "upsample",
          "expected a factor of 1 to 1024, got " + std::to_string(factor));
  constexpr std::int64_t kMaxSide = std::int64_t{1} << 30;
  require(std::max(input.height, input.width) <= kMaxSide / factor, "upsample",
          "expected no more than 2^30 rows and columns");
  return std::make_unique<UpsampleLayer>(input, factor);
}

std::unique_ptr<Layer> make_zero_pad(const Shape& input, const PadOptions& options) {
  constexpr std::int64_t kMaxPad = 1024;
  const std::array sides{options.left, options.right, options.top, options.bottom};
  const auto [least, most] = std::minmax_element(sides.begin(), sides.end());
  require(*least >= 0 && *most <= kMaxPad, "zero_pad", "expected 0 to 1024 pixels at each side");
  return std::make_unique<ZeroPadLayer>(input, kernels::Pad{.height = input.height,
                                                            .width = input.width,
                                                            .left = options.left,
                                                            .right = options.right,
                                                            .top = options.top,
                                                            .bottom = options.bottom});
}

std::unique_ptr<Layer> make_slice(const Shape& input, const SliceOptions& options) {
  require(options.first >= 0 && options.count > 0 && options.first < input.channels &&
              options.count <= input.channels - options.first,
          "slice",
          "expected channels within 0 to " + std::to_string(input.channels) + ", got " +
              std::to_string(options.count) + " from " + std::to_string(options.first));
  return std::make_unique<SliceLayer>(input, options);
}

std::unique_ptr<Layer> make_concat(std::span<const Shape> inputs) {
  require_count("concat", inputs);
  Shape output = inputs.front();
  for (const Shape& input : inputs.subspan(1)) {
    require(input.height == output.height && input.width == output.width, "concat",
            "expected values of " + std::to_string(output.height) + " x " +
                std::to_string(output.width) + " pixels, got " + std::to_string(input.height) +
                " x " + std::to_string(input.width));
    output.channels += input.channels;
  }
  return std::make_unique<JoinLayer>("concat", inputs, output);
}

std::unique_ptr<Layer> make_join(std::span<const Shape> inputs) {
  require_count("join", inputs);
  Shape output{.channels = 0};
  for (const Shape& input : inputs) output.channels += input.size();
  return std::make_unique<JoinLayer>("join", inputs, output);
}

}  // namespace ps::nn
