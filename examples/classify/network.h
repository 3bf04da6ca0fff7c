// The classifier: three convolutions with BatchNorm and ReLU, two of them pooled, and a linear
// layer.
#pragma once

#include <ps/nn/nn.h>
#include <ps/ps.hpp>

namespace classify {

// Prepared for nothing yet: bind its parameters, then prepare() it.
ps::nn::Graph make_network();

// Adds the network's parameters to the model, with first values that depend on the seed alone.
void add_parameters(const ps::nn::Graph& network, std::uint64_t seed, ps::Model& model);
// Lets the network compute on the model's weights and gradients. REQUIRES: model.start() was
// called.
void bind(ps::nn::Graph& network, const ps::Model& model);

}  // namespace classify
