#include "nn/device_twins.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"

namespace ps::nn {
namespace {

constexpr std::size_t kAlignment = 64;  // that of ps's own parameters in the host's memory
constexpr std::size_t kLeastPinned = std::size_t{64} << 10;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

const std::byte* bytes_at(const float* values) {
  return reinterpret_cast<const std::byte*>(values);
}

}  // namespace

DeviceTwins::DeviceTwins(kernels::Backend& backend,
                         std::span<const Parameter> parameters,
                         bool pins)
    : backend_(backend),
      pins_(pins),
      up_(backend.queue()->device()),
      down_(backend.queue()->device()),
      computed_(backend.queue()->device()),
      host_(parameters.size()),
      piece_of_(parameters.size()) {
  on_their_way_.reserve(parameters.size());
  offsets_.push_back(0);
  for (const Parameter& parameter : parameters) {
    sizes_.push_back(static_cast<std::size_t>(parameter.size()) * sizeof(float));
    offsets_.push_back(offsets_.back() + aligned(sizes_.back()));
  }
  weights_ = backend.allocate(offsets_.back());
  gradients_ = backend.allocate(offsets_.back());
  device_ = bound_to(gradients_.as<float>().data());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    uploaded_.emplace_back(backend.queue()->device());
    arrived_.emplace_back(backend.queue()->device());
  }
}

std::vector<Bound> DeviceTwins::bound_to(float* gradients) const {
  std::vector<Bound> bound;
  for (std::size_t i = 0; i < sizes_.size(); ++i) {
    const std::size_t floats = offsets_[i] / sizeof(float);
    bound.push_back(
        {.weights = weights_.as<float>().data() + floats, .gradient = gradients + floats});
  }
  return bound;
}

void DeviceTwins::add_others(std::vector<const DeviceTwins*> others) {
  others_ = std::move(others);
  for (const DeviceTwins* other : others_)
    others_computed_.emplace_back(other->backend_.queue()->device());
  visiting_ = backend_.allocate(offsets_.back());
}

void DeviceTwins::encode_gradients(std::span<const EncodedGradient> routes) {
  encoder_.emplace(backend_, routes);
}

bool DeviceTwins::leaves_encoded(std::size_t parameter) const {
  return encoder_ && encoder_->takes(parameter);
}

void DeviceTwins::bind(std::size_t parameter, const Bound& host) {
  host_[parameter] = host;
  laid_out_ = false;
}

// Whether the parameter follows the one before it in both memories, without a gap: what lies in a
// gap may be someone else's.
bool DeviceTwins::adjacent(std::size_t parameter, bool gradients) const {
  const auto at = [&](std::size_t i) {
    return bytes_at(gradients ? host_[i].gradient : host_[i].weights);
  };
  const std::byte* before = at(parameter - 1);
  const std::byte* after = at(parameter);
  return before != nullptr && after != nullptr &&
         sizes_[parameter - 1] == offsets_[parameter] - offsets_[parameter - 1] &&
         before + sizes_[parameter - 1] == after;
}

std::size_t DeviceTwins::bytes_of(const Piece& piece) const {
  return offsets_[piece.last - 1] + sizes_[piece.last - 1] - offsets_[piece.first];
}

void DeviceTwins::lay_out() {
  pieces_.clear();
  for (std::size_t i = 0; i < host_.size(); ++i) {
    if (pieces_.empty() || !adjacent(i, false) || bytes_of(pieces_.back()) >= kPieceBytes) {
      pieces_.push_back({.first = i, .last = i});
    }
    pieces_.back().last = i + 1;
    piece_of_[i] = pieces_.size() - 1;
  }
  pin();
  laid_out_ = true;
}

void DeviceTwins::pin() {
  registrations_.clear();
  if (!pins_) return;
  std::size_t refused = 0;
  for (const bool gradients : {false, true}) {
    for (std::size_t first = 0; first < host_.size();) {
      std::size_t last = first + 1;
      while (last < host_.size() && adjacent(last, gradients)) ++last;
      const std::size_t bytes = bytes_of({first, last});
      const float* from = gradients ? host_[first].gradient : host_[first].weights;
      if (from != nullptr && bytes >= kLeastPinned) {
        registrations_.emplace_back(std::span(bytes_at(from), bytes));
        if (!registrations_.back().pinned()) refused += bytes;
      }
      first = last;
    }
  }
  if (refused == 0 || std::exchange(told_, true)) return;
  Log("graph", LogLevel::kWarn)
      .warn("device " + std::to_string(backend_.device().index) + ": the driver would not pin " +
            std::to_string(refused >> 10) +
            " KiB of weights and gradients, so they are copied through memory of its own, which is "
            "slower; `ulimit -l` says how much may be locked");
}

void DeviceTwins::upload_weights(const Arrive* arrive) {
  if (!laid_out_) lay_out();
  computed_.record(*backend_.queue());
  up_.view().wait(computed_);  // the last pass still reads the old ones
  arrive_ = arrive;
  begun_ = needed_ = 0;
  while (arrive_ == nullptr && begun_ < pieces_.size()) copy_next_piece();
}

void DeviceTwins::copy_next_piece() {
  const Piece& piece = pieces_[begun_];
  if (arrive_ != nullptr) (*arrive_)(piece.last);
  kernels::copy_to_device(weights_.bytes().data() + offsets_[piece.first],
                          host_[piece.first].weights, bytes_of(piece), up_);
  uploaded_[begun_++].record(up_);
}

void DeviceTwins::begin_backward(std::size_t others, std::uint64_t step) {
  active_others_ = others;
  step_ = step;
  written_ = sent_ = host_.size();
  on_their_way_.clear();
  here_ = 0;
}

void DeviceTwins::need_weights(std::size_t first, std::size_t count) {
  if (count == 0) return;
  for (const std::size_t last = piece_of_[first + count - 1]; needed_ <= last; ++needed_) {
    if (begun_ == needed_) copy_next_piece();
    backend_.queue()->wait(uploaded_[needed_]);
  }
}

void DeviceTwins::gradients_written(std::size_t first, std::size_t count) {
  if (count == 0) return;
  written_ = first;
  if (first == 0 || offsets_[sent_] - offsets_[first] >= kPieceBytes) send_gradients(first);
}

// Adds those of [first, sent_) of the other devices, which have enqueued theirs, too.
void DeviceTwins::sum_gradients(std::size_t first) {
  const std::size_t offset = offsets_[first];
  const std::size_t bytes = offsets_[sent_] - offset;
  float* sum = device_[first].gradient;
  float* visiting = visiting_.as<float>().data() + offset / sizeof(float);
  for (std::size_t k = 0; k < active_others_; ++k) {
    const kernels::StreamView theirs = *others_[k]->backend_.queue();
    others_computed_[k].record(theirs);
    backend_.queue()->wait(others_computed_[k]);
    kernels::copy_between(visiting, backend_.queue()->device(), others_[k]->device_[first].gradient,
                          theirs.device(), bytes, *backend_.queue());
    backend_.add(sum, visiting, sum, static_cast<std::int64_t>(bytes / sizeof(float)));
  }
}

// Copies those of [first, sent_), in runs that lie in a row; encodes what shall leave encoded.
void DeviceTwins::send_gradients(std::size_t first) {
  const std::size_t last = sent_;
  sum_gradients(first);
  computed_.record(*backend_.queue());
  down_.view().wait(computed_);
  while (sent_ > first) {
    std::size_t begin = sent_ - 1;
    if (leaves_encoded(begin)) {
      encoder_->encode(begin, device_[begin].gradient, step_, down_);
      sent_ = begin;
      continue;
    }
    while (begin > first && adjacent(begin, true) && !leaves_encoded(begin - 1)) --begin;
    const Piece piece{.first = begin, .last = sent_};
    kernels::copy_to_host(host_[begin].gradient, gradients_.bytes().data() + offsets_[begin],
                          bytes_of(piece), down_);
    sent_ = begin;
  }
  if (encoder_) encoder_->send(first, last, down_);
  arrived_[on_their_way_.size()].record(down_);
  on_their_way_.push_back(first);
}

std::size_t DeviceTwins::arrived_from() {
  while (here_ < on_their_way_.size() && arrived_[here_].done()) ++here_;
  return here_ == 0 ? host_.size() : on_their_way_[here_ - 1];
}

void DeviceTwins::await_gradients() {
  if (written_ < sent_) send_gradients(written_);
  here_ = on_their_way_.size();
  if (here_ > 0) arrived_[here_ - 1].synchronize();
}

}  // namespace ps::nn
