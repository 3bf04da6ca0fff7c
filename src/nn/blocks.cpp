#include "nn/blocks.h"

#include <algorithm>
#include <array>

#include <ps/nn/detection_head.h>

namespace ps::nn {
namespace {

// Such a padding that stride 1 keeps the size.
ConvolutionOptions same(std::int64_t out, std::int64_t kernel) {
  return {.out = out, .kernel = kernel, .padding = kernel / 2, .bias = false};
}

std::int64_t hidden_channels(std::int64_t out, double expansion, const std::string& name) {
  const auto hidden = static_cast<std::int64_t>(static_cast<double>(out) * expansion);
  require(hidden > 0, name,
          "expected an expansion that leaves a channel of " + std::to_string(out));
  return hidden;
}

std::string numbered(const std::string& name, std::size_t i) {
  return name + "." + std::to_string(i);
}

// Two 3 x 3 convolutions, and a plain 1 x 1 of `out` channels.
Value branch(NetworkBuilder& builder,
             Value x,
             std::int64_t width,
             std::int64_t out,
             const std::string& name) {
  x = builder.block(x, same(width, 3), name + ".0");
  x = builder.block(x, same(width, 3), name + ".1");
  return builder.convolution(x, {.out = out}, name + ".2");
}

}  // namespace

Value bottleneck(NetworkBuilder& builder,
                 Value x,
                 const BottleneckOptions& options,
                 const std::string& name) {
  const std::int64_t hidden = hidden_channels(options.out, options.expansion, name);
  Value y = builder.block(x, same(hidden, options.kernel), name + ".cv1");
  ConvolutionOptions second = same(options.out, 3);
  second.groups = options.groups;
  y = builder.block(y, second, name + ".cv2");
  const bool adds = options.shortcut && builder.shape(x).channels == options.out;
  return adds ? builder.add(x, y) : y;
}

Value c3(NetworkBuilder& builder, Value x, const CspOptions& options, const std::string& name) {
  const std::int64_t hidden = hidden_channels(options.out, options.expansion, name);
  Value y = builder.block(x, same(hidden, 1), name + ".cv1");
  const BottleneckOptions inner{
      .out = hidden, .shortcut = options.shortcut, .groups = options.groups, .expansion = 1.0};
  for (std::int64_t i = 0; i < options.repeats; ++i) {
    y = bottleneck(builder, y, inner, numbered(name + ".m", static_cast<std::size_t>(i)));
  }
  const Value side = builder.block(x, same(hidden, 1), name + ".cv2");
  return builder.block(builder.concat(std::array{y, side}), same(options.out, 1), name + ".cv3");
}

Value c2f(NetworkBuilder& builder, Value x, const CspOptions& options, const std::string& name) {
  const std::int64_t hidden = hidden_channels(options.out, options.expansion, name);
  std::vector<Value> all{builder.block(x, same(2 * hidden, 1), name + ".cv1")};
  Value y = builder.slice(all.front(), {.first = hidden, .count = hidden});
  const BottleneckOptions inner{.out = hidden,
                                .shortcut = options.shortcut,
                                .groups = options.groups,
                                .expansion = 1.0,
                                .kernel = 3};
  for (std::int64_t i = 0; i < options.repeats; ++i) {
    y = bottleneck(builder, y, inner, numbered(name + ".m", static_cast<std::size_t>(i)));
    all.push_back(y);
  }
  return builder.block(builder.concat(all), same(options.out, 1), name + ".cv2");
}

Value sppf(NetworkBuilder& builder, Value x, const SppfOptions& options, const std::string& name) {
  const std::int64_t hidden = hidden_channels(builder.shape(x).channels, 0.5, name);
  const MaxPoolOptions pool{.kernel = options.kernel, .stride = 1, .padding = options.kernel / 2};
  std::array<Value, 4> all{builder.block(x, same(hidden, 1), name + ".cv1")};
  for (std::size_t i = 1; i < all.size(); ++i) all[i] = builder.max_pool(all[i - 1], pool);
  return builder.block(builder.concat(all), same(options.out, 1), name + ".cv2");
}

Heads anchor_head(NetworkBuilder& builder,
                  std::span<const Value> features,
                  std::int64_t channels,
                  const std::string& name) {
  Heads heads;
  for (std::size_t i = 0; i < features.size(); ++i) {
    const std::string level = numbered(name + ".m", i);
    heads.levels.push_back(builder.convolution(features[i], {.out = channels}, level));
    heads.biases.push_back(level + ".bias");
  }
  return heads;
}

Heads distance_head(NetworkBuilder& builder,
                    std::span<const Value> features,
                    std::int64_t classes,
                    const std::string& name) {
  constexpr std::int64_t kOut = 4 * kDistanceBins;
  // Both as wide at all scales, by the finest one's features.
  const std::int64_t channels = builder.shape(features.front()).channels;
  const std::int64_t box_width = std::max(kOut, channels / 4);
  const std::int64_t class_width = std::max(channels, std::min<std::int64_t>(classes, 100));
  Heads heads;
  for (std::size_t i = 0; i < features.size(); ++i) {
    const Value x = features[i];
    const std::string level = numbered(name + ".cv3", i);
    const Value box = branch(builder, x, box_width, kOut, numbered(name + ".cv2", i));
    const Value category = branch(builder, x, class_width, classes, level);
    heads.levels.push_back(builder.concat(std::array{box, category}));
    heads.biases.push_back(level + ".2.bias");
  }
  return heads;
}

}  // namespace ps::nn
