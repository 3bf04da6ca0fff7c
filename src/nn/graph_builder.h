// Builds a Graph.
#pragma once

#include <span>
#include <string>

#include <ps/nn/detector.h>
#include <ps/nn/graph.h>

#include "nn/network_builder.h"

namespace ps::nn {

// Both outlive it.
class GraphBuilder : public NetworkBuilder {
 public:
  GraphBuilder(Graph& graph, const DetectorTable& table) : graph_(graph), table_(table) {}

  [[nodiscard]] Value input() const override { return graph_.input(); }
  [[nodiscard]] Shape shape(Value x) const override { return graph_.shape(x); }
  Value add(Value a, Value b) override { return graph_.add(a, b); }
  Value concat(std::span<const Value> values) override { return graph_.concat(values); }
  Value slice(Value x, const SliceOptions& options) override { return graph_.slice(x, options); }
  Value upsample(Value x, std::int64_t factor) override { return graph_.upsample(x, factor); }
  Value zero_pad(Value x, const PadOptions& options) override {
    return graph_.zero_pad(x, options);
  }
  Value max_pool(Value x, const MaxPoolOptions& options) override {
    return graph_.max_pool(x, options);
  }

 protected:
  Value make_convolution(Value x,
                         const ConvolutionOptions& options,
                         const std::string& name) override {
    return graph_.convolution(x, options, name);
  }
  Value make_block(Value x, const ConvolutionOptions& options, const std::string& name) override {
    x = graph_.convolution(x, options, name + ".conv");
    const bool silu = table_.activation == ActivationFunction::kSilu;
    x = graph_.batch_norm(x, {.epsilon = 1e-3F, .momentum = 0.03F, .silu = silu}, name + ".bn");
    switch (table_.activation) {
      case ActivationFunction::kRelu:
        return graph_.relu(x);
      case ActivationFunction::kLeakyRelu:
        return graph_.leaky_relu(x, table_.slope);
      case ActivationFunction::kSilu:
        break;
    }
    return x;
  }

 private:
  Graph& graph_;
  const DetectorTable& table_;
};

}  // namespace ps::nn
