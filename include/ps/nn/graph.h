// A static network of layers with its backward pass, on one CPU core or on GPUs. It owns its
// activations; weights and gradients belong to the caller (a ps::Model, say), who binds them.
//
//   Graph graph({.channels = 1, .height = 28, .width = 28});
//   Value x = graph.convolution(graph.input(), {.out = 32, .kernel = 3, .padding = 1}, "conv1");
//   x = graph.relu(graph.batch_norm(x, {}, "bn1"));
//   x = graph.linear(graph.max_pool(x, {.kernel = 2}), 10, "fc");
//   graph.softmax_cross_entropy(x);
//   for (i...) graph.bind(i, weights_of[i], gradients_of[i]);   // graph.parameters() says how
//   large graph.prepare(64); Result step = graph.forward_backward(images, labels, [&](std::size_t
//   i) { push(i); });
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ps/device.h>
#include <ps/nn/layer_options.h>
#include <ps/nn/parameter.h>
#include <ps/nn/pass.h>
#include <ps/nn/placement.h>

namespace ps::nn {

class BoxFinder;
class DetectionCriterion;
struct DetectionLoss;
struct Target;

// Used by one thread at a time. Every function but the destructor throws Error{kInvalidArgument}
// for misuse, saying which layer; nothing has changed then. After prepare(), no function allocates.
class Graph {
 public:
  explicit Graph(const Shape& input);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;
  ~Graph();

  // --- Building. Names are unique; parameters are called "<name>.weight" and so on.

  [[nodiscard]] Value input() const noexcept { return {}; }
  // weight [out, channels / groups, kernel, kernel], bias [out].
  Value convolution(Value x, const ConvolutionOptions& options, const std::string& name);
  // weight, bias, running_mean, running_var: [channels]. In training the batch's own statistics
  // normalize; the running ones (of kind kAverage, unbiased variance) go to their gradient spans.
  Value batch_norm(Value x, const BatchNormOptions& options, const std::string& name);
  Value relu(Value x);
  Value leaky_relu(Value x, float slope);  // slope > 0
  Value silu(Value x);
  Value max_pool(Value x, const MaxPoolOptions& options);
  Value global_average_pool(Value x);
  // Of all values of x: weight [outputs, inputs], bias [outputs].
  Value linear(Value x, std::int64_t outputs, const std::string& name);
  Value add(Value a, Value b);  // of one shape
  // Every pixel becomes factor x factor equal ones; factor > 0.
  Value upsample(Value x, std::int64_t factor);
  Value zero_pad(Value x, const PadOptions& options);
  Value slice(Value x, const SliceOptions& options);  // of channels
  // The channels of one value after another's: 1 to 16 values of one height and width.
  Value concat(std::span<const Value> values);
  // The same of values of any shapes, flattened: [sum of the sizes, 1, 1].
  Value join(std::span<const Value> values);
  // The loss: x has a class per channel and is the graph's last value.
  void softmax_cross_entropy(Value x);

  [[nodiscard]] const Shape& shape(Value x) const;
  // In the order they were added: the first layer's first.
  [[nodiscard]] const std::vector<Parameter>& parameters() const noexcept;

  // --- Memory

  // Where a parameter's values lie and where its gradient shall be written: Parameter::size()
  // floats each, alive and unmoved while the graph runs. `gradient` may be empty if no backward
  // pass is run. Allowed at any time between passes.
  void bind(std::size_t parameter, std::span<const float> weights, std::span<float> gradient);
  // Ends building; allocates and touches everything for batches of up to `max_batch` samples. The
  // last value added is the output, and every other value must have been used. On a GPU, weights
  // are copied there at the begin of each pass and gradients back as they are computed; what is
  // bound stays in the host's memory. Throws Error{kUnavailable} if a device cannot be used.
  void prepare(std::int64_t max_batch, const Placement& placement = {});
  void prepare(std::int64_t max_batch, const Device& device, Precision precision = {}) {
    prepare(max_batch, Placement{.devices = {device}, .precision = precision});
  }

  // From now on every pass waits for weights as it comes to them, by `needed`, and computes with
  // the first layers' while the last are still on their way. Empty (at first): they are there.
  void when_weights_needed(WeightsNeeded needed);

  // From now on a parameter's gradient leaves the GPU encoded, where its entry in `gradients` has
  // pieces, and not to where it is bound: `ready` then says that the bytes are there. They are
  // those of ps's own encoder. What a message leaves out is kept on the GPU for the next one, from
  // zeros on. Allocates; after prepare(), between passes. `number` may be empty where nothing is
  // rounded at random. Throws on the CPU, where the worker encodes, and for sizes that do not fit.
  void encode_gradients(std::span<const EncodedGradient> gradients, StepNumber number);

  // --- Running. images: [batch, input], 1 <= batch <= max_batch, read until the call's end (until
  // backward's for forward_training). Results are the same bits for the same bits on one machine.

  // The output [batch, output] with running statistics; valid until the next call.
  std::span<const float> forward(std::span<const float> images);
  // The same, and its loss. labels: [batch].
  Result evaluate(std::span<const float> images, std::span<const std::int32_t> labels);

  // One step: every parameter's gradient of the mean loss over the valid samples. `ready` may be
  // empty.
  Result forward_backward(std::span<const float> images,
                          std::span<const std::int32_t> labels,
                          const GradientReady& ready);

  // The same for a detector (ps/nn/detection.h): gradients of the loss's total. The criterion is of
  // this network's head and of this batch or a larger one; one graph uses one criterion at a time.
  DetectionLoss forward_backward(std::span<const float> images,
                                 DetectionCriterion& criterion,
                                 std::span<const Target> targets,
                                 const GradientReady& ready);

  // From now on gradients of layers' values are `scale` times as large, and those of parameters as
  // they should be: small ones would vanish in float16. A power of two changes no bits elsewhere.
  // Throws for a scale that is not finite or not > 0.
  void scale_loss(float scale);

  // The same in two halves, for a loss of the caller's: the output with batch statistics, and the
  // gradients from the loss's derivative by that output [batch, output].
  std::span<const float> forward_training(std::span<const float> images);
  void backward(std::span<const float> output_gradient, const GradientReady& ready);

 private:
  friend class BoxFinder;  // which reads the output where it is
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ps::nn
