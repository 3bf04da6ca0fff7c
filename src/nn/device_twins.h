// Parameters of a graph on a GPU: the device's copy of the weights that the host's memory has, and
// the gradients' way back. Weights go up and gradients come down on streams of their own, in pieces
// of about half a MiB, so that the first layers compute while the last weights are still on their
// way, and gradients leave while earlier layers still compute theirs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <ps/nn/parameter.h>

#include "base/buffer.h"
#include "kernels/backend.h"
#include "kernels/device.h"
#include "nn/device_encoder.h"
#include "nn/layer.h"

namespace ps::nn {

class DeviceTwins {
 public:
  static constexpr std::size_t kPieceBytes = std::size_t{512} << 10;

  // REQUIRES: backend.queue() != nullptr; both outlive this. Pins the host's memory if `pins`: one
  // of several that are bound to the same shall.
  DeviceTwins(kernels::Backend& backend, std::span<const Parameter> parameters, bool pins = true);

  // Where the kernels find them: as many as parameters.
  [[nodiscard]] std::span<const Bound> bound() const { return device_; }
  // The same weights, and gradients in a block of as many bytes that is laid out alike.
  [[nodiscard]] std::size_t bytes() const { return offsets_.back(); }
  [[nodiscard]] std::vector<Bound> bound_to(float* gradients) const;
  // Other devices' gradients, of the same parameters, that are to be added to these, in this order.
  void add_others(std::vector<const DeviceTwins*> others);

  // Gradients leave encoded from now on, where their routes have pieces. Allocates.
  void encode_gradients(std::span<const EncodedGradient> routes);

  // The host's memory from now on; between passes. Gradients may be null.
  void bind(std::size_t parameter, const Bound& host);

  // Returns when the parameters before `last` are in the host's memory.
  using Arrive = std::function<void(std::size_t last)>;
  // Begins a pass: to copy all weights, the first parameters' first. With `arrive`, which lives as
  // long as the pass, a piece is asked for and its copy begun when need_weights() comes to it.
  void upload_weights(const Arrive* arrive = nullptr);
  // What is enqueued from now on finds these weights.
  void need_weights(std::size_t first, std::size_t count);

  // The first `others` of the others take part. `step`: by which encoding rounds at random.
  void begin_backward(std::size_t others = 0, std::uint64_t step = 0);
  // All that was enqueued until now has written these gradients: begins to copy them, once enough
  // have come together. Called for the last parameters first.
  void gradients_written(std::size_t first, std::size_t count);
  // Parameters from here on have their gradients in the host's memory: how far it is now ...
  [[nodiscard]] std::size_t arrived_from();
  // ... and when all have; waits.
  void await_gradients();

 private:
  // Parameters [first, last) that lie in a row in both memories.
  struct Piece {
    std::size_t first = 0;
    std::size_t last = 0;
  };

  void lay_out();
  [[nodiscard]] bool adjacent(std::size_t parameter, bool gradients) const;
  [[nodiscard]] bool leaves_encoded(std::size_t parameter) const;
  [[nodiscard]] std::size_t bytes_of(const Piece& piece) const;
  void pin();
  void copy_next_piece();
  void sum_gradients(std::size_t first);
  void send_gradients(std::size_t first);

  kernels::Backend& backend_;
  const bool pins_;
  kernels::Stream up_;
  kernels::Stream down_;
  kernels::Event computed_;           // what the streams above have to wait for
  std::vector<std::size_t> sizes_;    // bytes
  std::vector<std::size_t> offsets_;  // in the device's blocks; one more than parameters
  Memory weights_;
  Memory gradients_;
  std::vector<Bound> device_;
  std::vector<Bound> host_;
  bool laid_out_ = false;

  std::vector<Piece> pieces_;             // of weights
  std::vector<kernels::Event> uploaded_;  // the end of each piece's copy: as many as parameters
  std::vector<std::size_t> piece_of_;     // a parameter's
  const Arrive* arrive_ = nullptr;
  std::size_t begun_ = 0;   // pieces whose copies have begun
  std::size_t needed_ = 0;  // pieces that computing waits for already
  std::vector<kernels::HostRegistration> registrations_;
  bool told_ = false;  // that the driver would not pin memory

  std::vector<const DeviceTwins*> others_;
  std::vector<kernels::Event> others_computed_;
  std::size_t active_others_ = 0;
  Memory visiting_;  // another's gradients, on this device

  std::optional<DeviceEncoder> encoder_;
  std::uint64_t step_ = 0;

  std::size_t written_ = 0;                // gradients from here on are complete on the device,
  std::size_t sent_ = 0;                   // from here on on their way, in copies
  std::vector<std::size_t> on_their_way_;  // that begin with these parameters;
  std::vector<kernels::Event> arrived_;    // the end of each: as many as parameters
  std::size_t here_ = 0;                   // so many of them are known to have ended
};

}  // namespace ps::nn
