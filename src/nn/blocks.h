// The blocks that detectors are made of. `name` is the prefix of their parameters' names, which are
// those that users of these blocks know from their weight files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/network_builder.h"

namespace ps::nn {

struct BottleneckOptions {
  std::int64_t out = 1;
  bool shortcut = true;  // adds the input, where it has as many channels
  std::int64_t groups = 1;
  double expansion = 0.5;   // channels between the convolutions, of `out`
  std::int64_t kernel = 1;  // of the first convolution; the second's is 3
};

// cv1, cv2.
Value bottleneck(NetworkBuilder& builder,
                 Value x,
                 const BottleneckOptions& options,
                 const std::string& name);

struct CspOptions {
  std::int64_t out = 1;
  std::int64_t repeats = 1;
  bool shortcut = true;
  std::int64_t groups = 1;
  double expansion = 0.5;
};

// Bottlenecks m.0, ... after cv1, beside cv2, joined by cv3 (Wang et al., CSPNet, 2020).
Value c3(NetworkBuilder& builder, Value x, const CspOptions& options, const std::string& name);

// cv1's second half through the bottlenecks m.0, ... of two 3 x 3 convolutions; cv1 and what every
// one of them says, joined by cv2.
Value c2f(NetworkBuilder& builder, Value x, const CspOptions& options, const std::string& name);

struct SppfOptions {
  std::int64_t out = 1;
  std::int64_t kernel = 5;  // odd
};

// Three maxima in a row of cv1, all joined by cv2.
Value sppf(NetworkBuilder& builder, Value x, const SppfOptions& options, const std::string& name);

// A head over several scales: its raw outputs, as DetectionHead says, and the names of the biases
// that hold what is expected of a picture before it is seen.
struct Heads {
  std::vector<Value> levels;
  std::vector<std::string> biases;
};

// 1 x 1 convolutions m.0, ...
Heads anchor_head(NetworkBuilder& builder,
                  std::span<const Value> features,
                  std::int64_t channels,
                  const std::string& name);

// Distances by cv2.0, ... and classes by cv3.0, ..., two 3 x 3 convolutions and a 1 x 1 each.
Heads distance_head(NetworkBuilder& builder,
                    std::span<const Value> features,
                    std::int64_t classes,
                    const std::string& name);

}  // namespace ps::nn
