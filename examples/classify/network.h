// The network of this example, and its weights in a file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <ps/model.h>
#include <ps/nn/graph.h>

namespace classify {

// Three convolutions and a hidden layer, each with BatchNorm: 99,290 values, 4 MFLOP for an image
// forward. From normalized images [28, 28] to a score for each class, with its loss.
ps::nn::Graph build_network();

// Adds the graph's parameters to a model that is not started yet, in the graph's order and with
// initial values that depend on the seed, and binds the graph to the model's memory: from then on
// it computes with the weights as last pulled and writes its gradients where the model sends them
// from. The model outlives the graph.
void connect(ps::nn::Graph& graph, ps::Model& model, std::uint64_t seed);

// Writes the model's weights as last pulled, running statistics included, to a safetensors file.
// Throws as ps::save_safetensors().
void save_weights(const std::string& path,
                  const ps::Model& model,
                  const std::map<std::string, std::string>& metadata);

// The memory that a graph computes with when there is no model.
using Weights = std::vector<std::vector<float>>;

// Binds the graph to the weights in a file of save_weights(); the result outlives the graph's use.
// Throws ps::Error naming the file: as ps::load_safetensors(), and kMismatch when a tensor is
// missing, has another shape, or has no place in this network.
Weights load_weights(const std::string& path, ps::nn::Graph& graph);

}  // namespace classify
