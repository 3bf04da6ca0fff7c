// Layers without parameters.
#include <algorithm>
#include <limits>

#include "kernels/backend.h"
#include "nn/check.h"
#include "nn/layer.h"

namespace ps::nn {
namespace {

class ActivationLayer final : public Layer {
 public:
  ActivationLayer(std::string name, const Shape& input, const kernels::Activation& function)
      : Layer(std::move(name), input), function_(function) {}

  // The others' derivative can be told from the output's sign.
  [[nodiscard]] bool forward_in_place() const override {
    return function_.kind != kernels::ActivationKind::kSilu;
  }
  [[nodiscard]] bool backward_in_place() const override { return true; }

  void forward(const Call& call) override {
    call.backend->activate(function_, call.x[0], call.y, call.batch * output().size());
  }
  void backward(const Call& call) override {
    if (call.dx[0] == nullptr) return;
    call.backend->activate_backward(function_, call.x[0], call.dy, call.dx[0],
                                    call.batch * output().size());
  }

 private:
  const kernels::Activation function_;
};

Shape pooled(const Shape& input, const kernels::MaxPool& pool) {
  return {.channels = input.channels, .height = pool.out_height(), .width = pool.out_width()};
}

class MaxPoolLayer final : public Layer {
 public:
  MaxPoolLayer(const Shape& input, const kernels::MaxPool& pool)
      : Layer("max_pool", pooled(input, pool)), channels_(input.channels), pool_(pool) {}

  void prepare(kernels::Backend& backend, std::int64_t max_batch) override {
    winners_ = backend.allocate(static_cast<std::size_t>(max_batch * output().size()) *
                                sizeof(std::int32_t));
  }
  void forward(const Call& call) override {
    pool_.planes = call.batch * channels_;
    call.backend->max_pool(pool_, call.x[0], call.y, winners());
  }
  void backward(const Call& call) override {
    if (call.dx[0] == nullptr) return;
    pool_.planes = call.batch * channels_;
    call.backend->max_pool_backward(pool_, call.dy, winners(), call.dx[0]);
  }

 private:
  [[nodiscard]] std::int32_t* winners() const { return winners_.as<std::int32_t>().data(); }

  const std::int64_t channels_;
  kernels::MaxPool pool_;
  Memory winners_;
};

class AveragePoolLayer final : public Layer {
 public:
  explicit AveragePoolLayer(const Shape& input)
      : Layer("global_average_pool", {.channels = input.channels}),
        plane_(input.height * input.width) {}

  void forward(const Call& call) override {
    call.backend->average_pool(call.batch * output().channels, plane_, call.x[0], call.y);
  }
  void backward(const Call& call) override {
    if (call.dx[0] == nullptr) return;
    call.backend->average_pool_backward(call.batch * output().channels, plane_, call.dy,
                                        call.dx[0]);
  }

 private:
  const std::int64_t plane_;
};

class AddLayer final : public Layer {
 public:
  explicit AddLayer(const Shape& input) : Layer("add", input) {}

  [[nodiscard]] bool backward_in_place() const override { return true; }

  void forward(const Call& call) override {
    call.backend->add(call.x[0], call.x[1], call.y, call.batch * output().size());
  }
  void backward(const Call& call) override {
    for (float* dx : call.dx) {
      if (dx == nullptr || dx == call.dy) continue;
      call.backend->copy(call.dy, dx, call.batch * output().size());
    }
  }
};

std::unique_ptr<Layer> make_activation(const char* name,
                                       const Shape& input,
                                       const kernels::Activation& function) {
  return std::make_unique<ActivationLayer>(name, input, function);
}

}  // namespace

std::unique_ptr<Layer> make_relu(const Shape& input) {
  return make_activation("relu", input, {.kind = kernels::ActivationKind::kRelu});
}

std::unique_ptr<Layer> make_leaky_relu(const Shape& input, float slope) {
  require(slope > 0.0F, "leaky_relu", "expected slope > 0, got " + std::to_string(slope));
  return make_activation("leaky_relu", input,
                         {.kind = kernels::ActivationKind::kLeakyRelu, .slope = slope});
}

std::unique_ptr<Layer> make_silu(const Shape& input) {
  return make_activation("silu", input, {.kind = kernels::ActivationKind::kSilu});
}

std::unique_ptr<Layer> make_max_pool(const Shape& input, const MaxPoolOptions& options) {
  require(options.kernel > 0 && options.stride >= 0 && options.padding >= 0 &&
              options.padding_end >= 0 && options.padding < options.kernel &&
              options.padding_end < options.kernel - options.padding,
          "max_pool", "expected kernel > 0, stride >= 0 and 0 <= padding + padding_end < kernel");
  const std::int64_t shorter = std::min(input.height, input.width);
  require(shorter + 2 * options.padding + options.padding_end >= options.kernel, "max_pool",
          "the kernel is larger than the padded input");
  require(input.height * input.width <= std::numeric_limits<std::int32_t>::max(), "max_pool",
          "expected planes of fewer than 2^31 values");
  return std::make_unique<MaxPoolLayer>(
      input, kernels::MaxPool{.height = input.height,
                              .width = input.width,
                              .kernel = options.kernel,
                              .stride = options.stride == 0 ? options.kernel : options.stride,
                              .padding = options.padding,
                              .padding_end = options.padding_end});
}

std::unique_ptr<Layer> make_global_average_pool(const Shape& input) {
  return std::make_unique<AveragePoolLayer>(input);
}

std::unique_ptr<Layer> make_add(const Shape& a, const Shape& b) {
  require(a == b, "add", "expected two values of the same shape");
  return std::make_unique<AddLayer>(a);
}

}  // namespace ps::nn
