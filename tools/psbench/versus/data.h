// What sync-vs-async trains on: the images of the example classify where they are installed, else
// ones that are drawn here, of the same size and number of classes.
#pragma once

#include <cstdint>
#include <string>

#include <ps/nn/graph.h>

#include "examples/classify/dataset.h"

namespace psbench {

struct Images {
  classify::Dataset train;
  classify::Dataset held_out;
};

constexpr const char* kSynthetic = "synthetic";

// `folder`, or kSynthetic where `folder` is that or is none.
std::string resolve_data(const std::string& folder);
// Of what resolve_data() gave: 20,000 to train on, 1000 held out. Throws as
// classify::load_dataset().
Images load_images(const std::string& data);

// As they are, so that the processes of many runs need not unpack them. Throw
// ps::Error(kIo).
void write_images(const std::string& path, const Images& images);
Images read_images(const std::string& path);

// Ten blurred patterns with noise and one label in 20 wrong: the same in every process. Linear
// models reach about 0.9.
classify::Dataset draw_images(std::uint32_t count, std::uint64_t seed);

// "mlp": one hidden layer, 25 thousand values; "classify": the example's convolutional network.
ps::nn::Graph build(const std::string& network);

}  // namespace psbench
