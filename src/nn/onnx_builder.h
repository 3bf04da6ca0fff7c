// A detector's layers as nodes of an ONNX graph.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ps/nn/detector.h>

#include "nn/network_builder.h"
#include "nn/onnx_graph.h"

namespace ps::nn {

class OnnxBuilder final : public NetworkBuilder {
 public:
  // weights: one for each of the detector's parameters; all of it must outlive the builder.
  OnnxBuilder(OnnxGraph& graph,
              const Detector& detector,
              std::span<const std::span<const float>> weights);

  [[nodiscard]] const std::string& name(Value x) const { return node(x).name; }

  [[nodiscard]] Value input() const override { return {}; }
  [[nodiscard]] Shape shape(Value x) const override { return node(x).shape; }
  Value add(Value a, Value b) override;
  Value concat(std::span<const Value> values) override;
  Value slice(Value x, const SliceOptions& options) override;
  Value upsample(Value x, std::int64_t factor) override;
  Value zero_pad(Value x, const PadOptions& options) override;
  Value max_pool(Value x, const MaxPoolOptions& options) override;

 private:
  struct Node {
    std::string name;
    Shape shape;
  };

  [[nodiscard]] const Node& node(Value x) const {
    return nodes_[static_cast<std::size_t>(x.index)];
  }
  [[nodiscard]] std::span<const float> weights(const std::string& parameter) const;
  Value added(std::string name, const Shape& shape);
  Value convolve(Value x,
                 const ConvolutionOptions& options,
                 std::span<const float> weights,
                 std::span<const float> bias);
  Value activate(Value x);

  Value make_convolution(Value x,
                         const ConvolutionOptions& options,
                         const std::string& name) override;
  Value make_block(Value x, const ConvolutionOptions& options, const std::string& name) override;

  OnnxGraph& graph_;
  const DetectorTable& table_;
  std::map<std::string_view, std::span<const float>> weights_;
  std::vector<Node> nodes_;
};

// Appends what turns the levels' raw output into boxes, as `output`.
void decode_anchors(const DetectionHead& head,
                    const std::vector<std::string>& levels,
                    const std::string& output,
                    OnnxGraph& graph);
void decode_distances(const DetectionHead& head,
                      const std::vector<std::string>& levels,
                      const std::string& output,
                      OnnxGraph& graph);

}  // namespace ps::nn
