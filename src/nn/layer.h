// One layer: arithmetic on arrays that it is given, on the device that they lie on. It owns no
// weights and no activations, only what its backward pass must remember.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ps/nn/graph.h>

#include "base/buffer.h"
#include "kernels/backend.h"

namespace ps::nn {

// A parameter's memory, as the user bound it.
struct Bound {
  const float* weights = nullptr;
  float* gradient = nullptr;
};

inline constexpr std::size_t kMaxInputs = 16;

// One call of a layer. Which fields are set: forward: x, y; backward: x, y, dy, dx.
struct Call {
  kernels::Backend* backend = nullptr;
  std::int64_t batch = 0;
  bool training = false;
  float* workspace = nullptr;  // workspace_floats() of them, in the backend's memory as all is
  std::span<const Bound> parameters;
  std::array<const float*, kMaxInputs> x{};
  float* y = nullptr;
  const float* dy = nullptr;
  std::array<float*, kMaxInputs> dx{};  // to be overwritten; null: not wanted
};

class Layer {
 public:
  Layer(std::string name, const Shape& output) : name_(std::move(name)), output_(output) {}
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;
  virtual ~Layer() = default;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const Shape& output() const noexcept { return output_; }
  [[nodiscard]] virtual std::vector<Parameter> parameters() const { return {}; }
  [[nodiscard]] virtual std::int64_t workspace_floats(const kernels::Backend& /*backend*/,
                                                      std::int64_t /*max_batch*/) const {
    return 0;
  }
  // Whether y may lie where x[0] does, and then is what backward finds in x[0].
  [[nodiscard]] virtual bool forward_in_place() const { return false; }
  // Whether dx[0] may lie where dy does.
  [[nodiscard]] virtual bool backward_in_place() const { return false; }

  // Allocates what it remembers. All calls will be on this backend.
  virtual void prepare(kernels::Backend& /*backend*/, std::int64_t /*max_batch*/) {}
  virtual void forward(const Call& call) = 0;
  // Follows the forward call of the same batch. What that was to leave lies in the backend's memory
  // only: a recorded pass runs without the call.
  virtual void backward(const Call& call) = 0;

 private:
  std::string name_;
  Shape output_;
};

// Throw kInvalidArgument, naming the layer, where the options do not fit the input.
std::unique_ptr<Layer> make_convolution(const std::string& name,
                                        const Shape& input,
                                        const ConvolutionOptions& options);
std::unique_ptr<Layer> make_batch_norm(const std::string& name,
                                       const Shape& input,
                                       const BatchNormOptions& options);
std::unique_ptr<Layer> make_relu(const Shape& input);
std::unique_ptr<Layer> make_leaky_relu(const Shape& input, float slope);
std::unique_ptr<Layer> make_silu(const Shape& input);
std::unique_ptr<Layer> make_max_pool(const Shape& input, const MaxPoolOptions& options);
std::unique_ptr<Layer> make_global_average_pool(const Shape& input);
std::unique_ptr<Layer> make_linear(const std::string& name,
                                   const Shape& input,
                                   std::int64_t outputs);
std::unique_ptr<Layer> make_add(const Shape& a, const Shape& b);
std::unique_ptr<Layer> make_upsample(const Shape& input, std::int64_t factor);
std::unique_ptr<Layer> make_zero_pad(const Shape& input, const PadOptions& options);
std::unique_ptr<Layer> make_slice(const Shape& input, const SliceOptions& options);
std::unique_ptr<Layer> make_concat(std::span<const Shape> inputs);
std::unique_ptr<Layer> make_join(std::span<const Shape> inputs);

}  // namespace ps::nn
