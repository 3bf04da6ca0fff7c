// Gradients that leave a GPU in fewer bytes: encoded there by the codecs' kernels, then copied to
// the host. What error feedback keeps for the next step stays on the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ps/nn/pass.h>

#include "base/buffer.h"
#include "kernels/backend.h"
#include "kernels/device.h"

namespace ps::nn {

class DeviceEncoder {
 public:
  // One route a parameter, checked; those without pieces are not its business. Allocates, and pins
  // the memory that they lead to. REQUIRES: backend.queue() != nullptr.
  DeviceEncoder(kernels::Backend& backend, std::span<const EncodedGradient> routes);

  [[nodiscard]] bool takes(std::size_t parameter) const {
    return offsets_[parameter] < offsets_[parameter + 1];
  }
  // Enqueues encoding a gradient of this device, once a step: it changes what is kept.
  void encode(std::size_t parameter,
              const float* gradient,
              std::uint64_t step,
              kernels::StreamView stream);
  // Enqueues copies of the bytes of parameters [first, last), all of them encoded on the stream.
  void send(std::size_t first, std::size_t last, kernels::StreamView stream) const;

 private:
  // Visits the bytes of [first, last) that lie in a row in both memories: offset, and where to.
  template <class Visit>
  void each_run(std::size_t first, std::size_t last, const Visit& visit) const;

  std::vector<EncodedGradient> routes_;
  std::vector<std::size_t> offsets_;       // of bytes, in staged_; one more than parameters
  std::vector<std::size_t> kept_offsets_;  // of floats, in kept_
  Memory staged_;
  Memory kept_;  // residuals
  Memory workspace_;
  std::vector<kernels::HostRegistration> registrations_;
};

// Throws kInvalidArgument naming the parameter unless the route can take its `values` floats.
void check_route(const EncodedGradient& route, const std::string& parameter, std::int64_t values);

}  // namespace ps::nn
