#include "nn/onnx_builder.h"

#include <array>
#include <cmath>

namespace ps::nn {
namespace {

std::int64_t positions(std::int64_t padded, std::int64_t kernel, std::int64_t stride) {
  return (padded - kernel) / stride + 1;
}

}  // namespace

OnnxBuilder::OnnxBuilder(OnnxGraph& graph,
                         const Detector& detector,
                         std::span<const std::span<const float>> weights)
    : graph_(graph), table_(detector.table()) {
  const auto& parameters = detector.graph().parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) weights_[parameters[i].name] = weights[i];
  nodes_.push_back({"images", detector.graph().shape(detector.graph().input())});
}

std::span<const float> OnnxBuilder::weights(const std::string& parameter) const {
  const auto found = weights_.find(parameter);
  require(found != weights_.end(), parameter, "the detector has no such parameter");
  return found->second;
}

Value OnnxBuilder::added(std::string name, const Shape& shape) {
  nodes_.push_back({std::move(name), shape});
  return {static_cast<int>(nodes_.size()) - 1};
}

Value OnnxBuilder::add(Value a, Value b) {
  return added(graph_.node("Add", {name(a), name(b)}), shape(a));
}

Value OnnxBuilder::concat(std::span<const Value> values) {
  Shape all = shape(values.front());
  all.channels = 0;
  std::vector<std::string> names;
  for (const Value x : values) {
    names.push_back(name(x));
    all.channels += shape(x).channels;
  }
  return added(graph_.node("Concat", names, {integer("axis", 1)}), all);
}

Value OnnxBuilder::slice(Value x, const SliceOptions& options) {
  Shape part = shape(x);
  part.channels = options.count;
  return added(graph_.slice(name(x), 1, options.first, options.first + options.count), part);
}

Value OnnxBuilder::upsample(Value x, std::int64_t factor) {
  Shape large = shape(x);
  large.height *= factor;
  large.width *= factor;
  const auto scale = static_cast<float>(factor);
  const std::string scales = graph_.constant({4}, std::array{1.0F, 1.0F, scale, scale});
  return added(graph_.node("Resize", {name(x), "", scales},
                           {text("mode", "nearest"), text("nearest_mode", "floor"),
                            text("coordinate_transformation_mode", "asymmetric")}),
               large);
}

Value OnnxBuilder::zero_pad(Value x, const PadOptions& options) {
  Shape large = shape(x);
  large.height += options.top + options.bottom;
  large.width += options.left + options.right;
  const std::array<std::int64_t, 8> pads{0, 0, options.top,    options.left,
                                         0, 0, options.bottom, options.right};
  return added(graph_.node("Pad", {name(x), graph_.constant(pads)}), large);
}

Value OnnxBuilder::max_pool(Value x, const MaxPoolOptions& options) {
  const std::int64_t stride = options.stride == 0 ? options.kernel : options.stride;
  const std::int64_t end = options.padding + options.padding_end;
  Shape pooled = shape(x);
  pooled.height = positions(pooled.height + options.padding + end, options.kernel, stride);
  pooled.width = positions(pooled.width + options.padding + end, options.kernel, stride);
  return added(graph_.node("MaxPool", {name(x)},
                           {integers("kernel_shape", {options.kernel, options.kernel}),
                            integers("strides", {stride, stride}),
                            integers("pads", {options.padding, options.padding, end, end})}),
               pooled);
}

Value OnnxBuilder::convolve(Value x,
                            const ConvolutionOptions& options,
                            std::span<const float> weights,
                            std::span<const float> bias) {
  const std::int64_t kernel = options.kernel;
  Shape y{.channels = options.out,
          .height = positions(shape(x).height + 2 * options.padding, kernel, options.stride),
          .width = positions(shape(x).width + 2 * options.padding, kernel, options.stride)};
  const std::int64_t inputs = shape(x).channels / options.groups;
  const std::int64_t pad = options.padding;
  return added(
      graph_.node("Conv",
                  {name(x), graph_.constant({options.out, inputs, kernel, kernel}, weights),
                   graph_.constant({options.out}, bias)},
                  {integers("kernel_shape", {kernel, kernel}),
                   integers("strides", {options.stride, options.stride}),
                   integers("pads", {pad, pad, pad, pad}), integer("group", options.groups)}),
      y);
}

Value OnnxBuilder::make_convolution(Value x,
                                    const ConvolutionOptions& options,
                                    const std::string& name) {
  return convolve(x, options, weights(name + ".weight"), weights(name + ".bias"));
}

Value OnnxBuilder::make_block(Value x, const ConvolutionOptions& options, const std::string& name) {
  const auto weight = weights(name + ".conv.weight");
  const auto gamma = weights(name + ".bn.weight");
  const auto beta = weights(name + ".bn.bias");
  const auto mean = weights(name + ".bn.running_mean");
  const auto variance = weights(name + ".bn.running_var");
  std::vector<float> folded(weight.size());
  std::vector<float> bias(gamma.size());
  const std::size_t row = weight.size() / gamma.size();
  for (std::size_t i = 0; i < gamma.size(); ++i) {
    const double scale = double{gamma[i]} / std::sqrt(double{variance[i]} + 1e-3);
    bias[i] = static_cast<float>(double{beta[i]} - double{mean[i]} * scale);
    for (std::size_t k = i * row; k < (i + 1) * row; ++k) {
      folded[k] = static_cast<float>(double{weight[k]} * scale);
    }
  }
  return activate(convolve(x, options, folded, bias));
}

Value OnnxBuilder::activate(Value x) {
  switch (table_.activation) {
    case ActivationFunction::kRelu:
      return added(graph_.node("Relu", {name(x)}), shape(x));
    case ActivationFunction::kLeakyRelu:
      return added(graph_.node("LeakyRelu", {name(x)}, {number("alpha", table_.slope)}), shape(x));
    case ActivationFunction::kSilu:
      break;
  }
  const std::string sigmoid = graph_.node("Sigmoid", {name(x)});
  return added(graph_.node("Mul", {name(x), sigmoid}), shape(x));
}

}  // namespace ps::nn
