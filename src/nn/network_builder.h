// What a detector is built of, so that one walk over its table makes a graph that learns, or a file
// for others. Counts what users ask for.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <ps/nn/layer_options.h>

#include "nn/check.h"

namespace ps::nn {

class NetworkBuilder {
 public:
  NetworkBuilder() = default;
  NetworkBuilder(const NetworkBuilder&) = delete;
  NetworkBuilder& operator=(const NetworkBuilder&) = delete;
  virtual ~NetworkBuilder() = default;

  // A plain convolution with a bias: <name>.weight, <name>.bias.
  Value convolution(Value x, const ConvolutionOptions& options, const std::string& name) {
    const Value y = make_convolution(x, options, name);
    count(x, y, options, options.out, name);
    return y;
  }
  // A convolution without bias, batch norm and the activation: <name>.conv.weight, <name>.bn.*.
  Value block(Value x, const ConvolutionOptions& options, const std::string& name) {
    const Value y = make_block(x, options, name);
    count(x, y, options, 2 * options.out, name);
    return y;
  }

  [[nodiscard]] virtual Value input() const = 0;
  [[nodiscard]] virtual Shape shape(Value x) const = 0;
  virtual Value add(Value a, Value b) = 0;
  virtual Value concat(std::span<const Value> values) = 0;
  virtual Value slice(Value x, const SliceOptions& options) = 0;
  virtual Value upsample(Value x, std::int64_t factor) = 0;
  virtual Value zero_pad(Value x, const PadOptions& options) = 0;
  virtual Value max_pool(Value x, const MaxPoolOptions& options) = 0;

  // Trained values so far, and floating-point operations of one image: 2 a multiply-add of a
  // convolution, 0 for all else.
  [[nodiscard]] std::int64_t parameter_count() const noexcept { return parameters_; }
  [[nodiscard]] double flops() const noexcept { return flops_; }

 private:
  virtual Value make_convolution(Value x,
                                 const ConvolutionOptions& options,
                                 const std::string& name) = 0;
  virtual Value make_block(Value x, const ConvolutionOptions& options, const std::string& name) = 0;

  void count(Value x,
             Value y,
             const ConvolutionOptions& options,
             std::int64_t others,
             const std::string& name) {
    constexpr std::int64_t kMost = std::int64_t{1} << 40;
    const std::int64_t taps = shape(x).channels / options.groups * options.kernel * options.kernel;
    parameters_ += options.out * taps + others;
    require(parameters_ <= kMost, name, "the network would have more than 2^40 parameters");
    flops_ += 2.0 * static_cast<double>(shape(y).size()) * static_cast<double>(taps);
  }

  std::int64_t parameters_ = 0;
  double flops_ = 0.0;
};

}  // namespace ps::nn
