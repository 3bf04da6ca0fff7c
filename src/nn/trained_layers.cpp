// Layers with parameters.
#include "kernels/backend.h"
#include "nn/check.h"
#include "nn/layer.h"

namespace ps::nn {
namespace {

Shape convolved(const kernels::Convolution& shape) {
  return {.channels = shape.out_channels, .height = shape.out_height(), .width = shape.out_width()};
}

class ConvolutionLayer final : public Layer {
 public:
  ConvolutionLayer(const std::string& name, const kernels::Convolution& shape, bool has_bias)
      : Layer(name, convolved(shape)), has_bias_(has_bias), shape_(shape) {}

  [[nodiscard]] std::vector<Parameter> parameters() const override {
    const std::int64_t inputs = shape_.channels / shape_.groups;
    std::vector<Parameter> result{
        {.name = name() + ".weight",
         .shape = {shape_.out_channels, inputs, shape_.kernel, shape_.kernel},
         .init = kaiming(inputs * shape_.kernel * shape_.kernel)}};
    if (has_bias_) result.push_back({.name = name() + ".bias", .shape = {shape_.out_channels}});
    return result;
  }
  [[nodiscard]] std::int64_t workspace_floats(const kernels::Backend& backend,
                                              std::int64_t max_batch) const override {
    kernels::Convolution largest = shape_;
    largest.batch = max_batch;
    return backend.convolution_workspace(largest);
  }

  void forward(const Call& call) override {
    begin(call);
    call.backend->convolve(shape_, call.x[0], call.parameters[0].weights, call.y);
    if (has_bias_) {
      call.backend->bias(bias_shape(call), call.parameters[1].weights, call.y);
    }
  }
  void backward(const Call& call) override {
    begin(call);
    kernels::Backend& backend = *call.backend;
    backend.convolve_backward_weights(shape_, call.x[0], call.dy, call.parameters[0].gradient);
    if (has_bias_) {
      call.backend->bias_backward(bias_shape(call), call.dy, call.parameters[1].gradient);
    }
    if (call.dx[0] != nullptr) {
      backend.convolve_backward_data(shape_, call.dy, call.parameters[0].weights, call.dx[0]);
    }
  }

 private:
  void begin(const Call& call) {
    shape_.batch = call.batch;
    shape_.workspace = call.workspace;
  }
  [[nodiscard]] kernels::Bias bias_shape(const Call& call) const {
    return {.batch = call.batch,
            .channels = output().channels,
            .plane = output().height * output().width};
  }

  const bool has_bias_;
  kernels::Convolution shape_;
};

class BatchNormLayer final : public Layer {
 public:
  BatchNormLayer(const std::string& name, const Shape& input, const BatchNormOptions& options)
      : Layer(name, input), options_(options) {}

  [[nodiscard]] std::vector<Parameter> parameters() const override {
    const Init one{.value = 1.0F};
    const std::vector<std::int64_t> shape{output().channels};
    return {{.name = name() + ".weight", .shape = shape, .init = one},
            {.name = name() + ".bias", .shape = shape},
            {.name = name() + ".running_mean", .shape = shape, .kind = ParameterKind::kAverage},
            {.name = name() + ".running_var",
             .shape = shape,
             .kind = ParameterKind::kAverage,
             .init = one}};
  }
  [[nodiscard]] bool backward_in_place() const override { return true; }

  void prepare(kernels::Backend& backend, std::int64_t /*max_batch*/) override {
    const std::size_t bytes = static_cast<std::size_t>(output().channels) * sizeof(float);
    mean_ = backend.allocate(bytes);
    variance_ = backend.allocate(bytes);
  }
  void forward(const Call& call) override {
    if (call.training) {
      call.backend->batch_norm_training(norm(call), call.x[0], call.y, mean(), variance());
    } else {
      call.backend->batch_norm_evaluation(norm(call), call.x[0], call.y, call.parameters[2].weights,
                                          call.parameters[3].weights);
    }
  }
  void backward(const Call& call) override {
    call.backend->batch_norm_backward(norm(call), {.x = call.x[0],
                                                   .mean = mean(),
                                                   .variance = variance(),
                                                   .dy = call.dy,
                                                   .dx = call.dx[0],
                                                   .dgamma = call.parameters[0].gradient,
                                                   .dbeta = call.parameters[1].gradient});
    const auto count = static_cast<double>(call.batch * output().height * output().width);
    track(call, mean(), 1.0, call.parameters[2]);
    track(call, variance(), count > 1.0 ? count / (count - 1.0) : 1.0, call.parameters[3]);
  }

 private:
  [[nodiscard]] kernels::BatchNorm norm(const Call& call) const {
    return {.batch = call.batch,
            .channels = output().channels,
            .plane = output().height * output().width,
            .epsilon = options_.epsilon,
            .gamma = call.parameters[0].weights,
            .beta = call.parameters[1].weights,
            .silu = options_.silu};
  }
  // The next running statistics, into the place of a gradient.
  void track(const Call& call, const float* batch, double scale, const Bound& running) const {
    call.backend->track(
        {.channels = output().channels, .share = double{options_.momentum}, .scale = scale}, batch,
        running.weights, running.gradient);
  }
  [[nodiscard]] float* mean() const { return mean_.as<float>().data(); }
  [[nodiscard]] float* variance() const { return variance_.as<float>().data(); }

  const BatchNormOptions options_;
  Memory mean_;
  Memory variance_;
};

class LinearLayer final : public Layer {
 public:
  LinearLayer(const std::string& name, std::int64_t inputs, std::int64_t outputs)
      : Layer(name, {.channels = outputs}), shape_{.inputs = inputs, .outputs = outputs} {}

  [[nodiscard]] std::vector<Parameter> parameters() const override {
    return {{.name = name() + ".weight",
             .shape = {shape_.outputs, shape_.inputs},
             .init = kaiming(shape_.inputs)},
            {.name = name() + ".bias", .shape = {shape_.outputs}}};
  }
  [[nodiscard]] std::int64_t workspace_floats(const kernels::Backend& backend,
                                              std::int64_t max_batch) const override {
    kernels::Linear largest = shape_;
    largest.batch = max_batch;
    return backend.linear_workspace(largest);
  }

  void forward(const Call& call) override {
    begin(call);
    call.backend->linear(shape_, call.x[0], call.parameters[0].weights, call.parameters[1].weights,
                         call.y);
  }
  void backward(const Call& call) override {
    begin(call);
    call.backend->linear_backward_weights(shape_, call.x[0], call.dy, call.parameters[0].gradient,
                                          call.parameters[1].gradient);
    if (call.dx[0] != nullptr) {
      call.backend->linear_backward_data(shape_, call.dy, call.parameters[0].weights, call.dx[0]);
    }
  }

 private:
  void begin(const Call& call) {
    shape_.batch = call.batch;
    shape_.workspace = call.workspace;
  }

  kernels::Linear shape_;
};

}  // namespace

std::unique_ptr<Layer> make_convolution(const std::string& name,
                                        const Shape& input,
                                        const ConvolutionOptions& options) {
  require(options.out > 0 && options.kernel > 0 && options.stride > 0 && options.padding >= 0, name,
          "expected out, kernel and stride > 0 and padding >= 0");
  require(options.groups > 0 && input.channels % options.groups == 0 &&
              options.out % options.groups == 0,
          name,
          "expected groups to divide " + std::to_string(input.channels) + " input and " +
              std::to_string(options.out) + " output channels, got " +
              std::to_string(options.groups));
  require(std::min(input.height, input.width) + 2 * options.padding >= options.kernel, name,
          "the kernel is larger than the padded input");
  return std::make_unique<ConvolutionLayer>(name,
                                            kernels::Convolution{.channels = input.channels,
                                                                 .height = input.height,
                                                                 .width = input.width,
                                                                 .out_channels = options.out,
                                                                 .kernel = options.kernel,
                                                                 .stride = options.stride,
                                                                 .padding = options.padding,
                                                                 .groups = options.groups},
                                            options.bias);
}

std::unique_ptr<Layer> make_batch_norm(const std::string& name,
                                       const Shape& input,
                                       const BatchNormOptions& options) {
  require(options.epsilon > 0.0F && options.momentum >= 0.0F && options.momentum <= 1.0F, name,
          "expected epsilon > 0 and 0 <= momentum <= 1");
  return std::make_unique<BatchNormLayer>(name, input, options);
}

std::unique_ptr<Layer> make_linear(const std::string& name,
                                   const Shape& input,
                                   std::int64_t outputs) {
  require(outputs > 0, name, "expected outputs > 0, got " + std::to_string(outputs));
  return std::make_unique<LinearLayer>(name, input.size(), outputs);
}

}  // namespace ps::nn
