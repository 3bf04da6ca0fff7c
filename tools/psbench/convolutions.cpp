#include "convolutions.h"

#include <algorithm>
#include <span>
#include <string>
#include <tuple>

#include "base/random.h"
#include "kernels/batch_norm.h"
#include "kernels/isa.h"
#include "nn/detector_walk.h"
#include "nn/graph_builder.h"

namespace psbench {
namespace {

using namespace ps::nn;  // NOLINT: a program of its own

// Walks a table as Detector does and notes its convolutions; equal ones are counted together.
class Recorder final : public GraphBuilder {
 public:
  using GraphBuilder::GraphBuilder;

  [[nodiscard]] const std::vector<Layer>& layers() const { return layers_; }

 private:
  Value make_convolution(Value x, const ConvolutionOptions& o, const std::string& name) override {
    note(x, o, false);
    return GraphBuilder::make_convolution(x, o, name);
  }
  Value make_block(Value x, const ConvolutionOptions& o, const std::string& name) override {
    note(x, o, true);
    return GraphBuilder::make_block(x, o, name);
  }
  void note(Value x, const ConvolutionOptions& o, bool block) {
    const Shape in = shape(x);
    const Layer layer{.shape = {.channels = in.channels,
                                .height = in.height,
                                .width = in.width,
                                .out_channels = o.out,
                                .kernel = o.kernel,
                                .stride = o.stride,
                                .padding = o.padding,
                                .groups = o.groups},
                      .block = block,
                      .first = x.index == 0};
    const auto key = [](const Layer& l) {
      return std::tuple(l.shape.channels, l.shape.height, l.shape.width, l.shape.out_channels,
                        l.shape.kernel, l.shape.stride, l.shape.padding, l.shape.groups, l.block,
                        l.first);
    };
    auto found = std::find_if(layers_.begin(), layers_.end(),
                              [&](const Layer& other) { return key(other) == key(layer); });
    if (found == layers_.end()) found = layers_.insert(found, layer);
    ++found->count;
  }

  std::vector<Layer> layers_;
};

}  // namespace

Floats random_floats(std::int64_t count, std::uint64_t seed) {
  ps::Random random(seed);
  Floats values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random.uniform(-0.5, 0.5));
  return values;
}

std::vector<Layer> convolutions_of(const ps::nn::DetectorTable& table,
                                   std::int64_t classes,
                                   std::int64_t size) {
  Graph graph({.channels = 3, .height = size, .width = size});
  Recorder recorder(graph, table);
  ps::nn::build_detector(table, classes, recorder);
  return recorder.layers();
}

LayerBench::LayerBench(const Layer& layer, std::int64_t batch) : layer_(layer) {
  auto& s = layer_.shape;
  s.batch = batch;
  x_ = random_floats(batch * s.channels * s.height * s.width, 1);
  dx_ = x_;
  weights_ = random_floats(s.out_channels * s.channels / s.groups * s.kernel * s.kernel, 2);
  dweights_ = weights_;
  y_ = random_floats(batch * s.out_channels * s.out_height() * s.out_width(), 3);
  z_ = y_;
  workspace_.resize(static_cast<std::size_t>(ps::kernels::convolution_workspace_floats(s)));
  s.workspace = workspace_.data();
  for (Floats& values : channel_) values.assign(static_cast<std::size_t>(s.out_channels), 1.0F);
}

void LayerBench::measure() {
  const auto isa = ps::kernels::best_isa();
  const auto& s = layer_.shape;
  const auto& ops = ps::kernels::convolution(isa);
  forward.add([&] { ops.forward(s, x_.data(), weights_.data(), y_.data()); });
  weights.add([&] { ops.backward_weights(s, x_.data(), y_.data(), dweights_.data()); });
  if (!layer_.first) {
    data.add([&] { ops.backward_data(s, y_.data(), weights_.data(), dx_.data()); });
  }
  if (!layer_.block) return;
  const auto& norms = ps::kernels::batch_norm(isa);
  const ps::kernels::BatchNorm norm{.batch = s.batch,
                                    .channels = s.out_channels,
                                    .plane = s.out_height() * s.out_width(),
                                    .epsilon = 1e-3F,
                                    .gamma = channel_[0].data(),
                                    .beta = channel_[1].data(),
                                    .silu = true};
  float* mean = channel_[2].data();
  float* variance = channel_[3].data();
  norm_forward.add([&] { norms.forward_training(norm, y_.data(), z_.data(), mean, variance); });
  norm_backward.add([&] {
    norms.backward(norm, {.x = y_.data(),
                          .mean = mean,
                          .variance = variance,
                          .dy = z_.data(),
                          .dx = z_.data(),
                          .dgamma = channel_[4].data(),
                          .dbeta = channel_[5].data()});
  });
}

double LayerBench::flops() const {
  return 2.0 * static_cast<double>(y_.size()) * static_cast<double>(weights_.size()) /
         static_cast<double>(layer_.shape.out_channels);
}

}  // namespace psbench
