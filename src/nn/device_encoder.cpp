#include "nn/device_encoder.h"

#include <algorithm>

#include "kernels/codec_cuda.h"
#include "nn/check.h"

namespace ps::nn {
namespace {

using Push = Compression::Push;

constexpr std::size_t kLeastPinned = std::size_t{64} << 10;
constexpr std::size_t kTopEntry = 8;  // an index and a value

bool feeds_back(Push push) {
  return push == Push::kInt8 || push == Push::kTopK || push == Push::kSign;
}

// REQUIRES: push != kNone.
kernels::Codec codec_of(Push push) {
  switch (push) {
    case Push::kBf16:
      return kernels::Codec::kBf16;
    case Push::kInt8:
    case Push::kInt8Stochastic:
      return kernels::Codec::kInt8;
    case Push::kTopK:
      return kernels::Codec::kTopK;
    case Push::kSign:
      return kernels::Codec::kSign;
    case Push::kNone:
    case Push::kFp16:
      break;
  }
  return kernels::Codec::kFp16;
}

std::size_t bytes_of(const EncodedPiece& piece) {
  if (piece.codec == Push::kNone) return piece.count * sizeof(float);
  return kernels::encoded_bytes(codec_of(piece.codec), piece.count, piece.bytes / kTopEntry);
}

bool feeds_back(const EncodedGradient& route) {
  return std::ranges::any_of(route.how.pieces,
                             [](const EncodedPiece& piece) { return feeds_back(piece.codec); });
}

}  // namespace

void check_route(const EncodedGradient& route, const std::string& parameter, std::int64_t values) {
  if (route.how.pieces.empty()) return;
  if (route.to.size() != route.how.bytes) {
    fail(parameter, "expected memory for " + std::to_string(route.how.bytes) +
                        " encoded bytes, got " + std::to_string(route.to.size()));
  }
  std::uint64_t first = 0;
  std::size_t end = 0;
  for (const EncodedPiece& piece : route.how.pieces) {
    const bool some =
        piece.codec != Push::kTopK || (piece.bytes > 0 && piece.bytes <= kTopEntry * piece.count);
    const bool placed = piece.at % kEncodedAlignment == 0 && piece.at >= end &&
                        piece.at <= route.how.bytes && piece.bytes <= route.how.bytes - piece.at;
    if (piece.first != first || !some || !placed || piece.bytes != bytes_of(piece)) {
      fail(parameter, "expected pieces in a row, each of its codec's bytes and within " +
                          std::to_string(route.how.bytes) + ", got one of values from " +
                          std::to_string(piece.first) + " on with " + std::to_string(piece.bytes) +
                          " bytes at " + std::to_string(piece.at));
    }
    first += piece.count;
    end = piece.at + piece.bytes;
  }
  if (first != static_cast<std::uint64_t>(values)) {
    fail(parameter, "expected an encoding of " + std::to_string(values) + " values, got one of " +
                        std::to_string(first));
  }
}

DeviceEncoder::DeviceEncoder(kernels::Backend& backend, std::span<const EncodedGradient> routes)
    : routes_(routes.begin(), routes.end()), offsets_{0} {
  std::size_t kept = 0;
  std::size_t workspace = 0;
  for (const EncodedGradient& route : routes_) {
    const std::size_t bytes = route.how.pieces.empty() ? 0 : route.how.bytes;
    offsets_.push_back(offsets_.back() +
                       (bytes + kEncodedAlignment - 1) / kEncodedAlignment * kEncodedAlignment);
    kept_offsets_.push_back(kept);
    for (const EncodedPiece& piece : route.how.pieces) {
      if (piece.codec == Push::kNone) continue;
      workspace =
          std::max(workspace, kernels::gpu::encode_workspace(codec_of(piece.codec), piece.count));
    }
    if (!feeds_back(route)) continue;
    constexpr std::size_t kFloats = kEncodedAlignment / sizeof(float);
    const EncodedPiece& last = route.how.pieces.back();
    kept += (last.first + last.count + kFloats - 1) / kFloats * kFloats;
  }
  staged_ = backend.allocate(offsets_.back());
  if (kept > 0) kept_ = backend.allocate(kept * sizeof(float));
  if (workspace > 0) workspace_ = backend.allocate(workspace);
  each_run(0, routes_.size(), [&](std::size_t /*offset*/, std::span<std::byte> to) {
    if (to.size() >= kLeastPinned) registrations_.emplace_back(to);
  });
}

void DeviceEncoder::encode(std::size_t parameter,
                           const float* gradient,
                           std::uint64_t step,
                           kernels::StreamView stream) {
  const EncodedGradient& route = routes_[parameter];
  for (const EncodedPiece& piece : route.how.pieces) {
    std::byte* to = staged_.bytes().data() + offsets_[parameter] + piece.at;
    const float* from = gradient + piece.first;
    if (piece.codec == Push::kNone) {
      kernels::copy_on_device(to, from, piece.bytes, stream);
      continue;
    }
    kernels::EncodePass pass{.codec = codec_of(piece.codec),
                             .count = piece.count,
                             .k = piece.bytes / kTopEntry,
                             .values = from,
                             .encoded = to,
                             .workspace = workspace_.bytes().data()};
    if (feeds_back(piece.codec))
      pass.residual = kept_.as<float>().data() + kept_offsets_[parameter] + piece.first;
    if (piece.codec == Push::kInt8Stochastic) {
      pass.rounding = kernels::Rounding::kStochastic;
      pass.seed = kernels::message_seed(step, piece.first, route.how.source);
    }
    kernels::gpu::encode(pass, stream);
  }
}

template <class Visit>
void DeviceEncoder::each_run(std::size_t first, std::size_t last, const Visit& visit) const {
  std::size_t offset = 0;
  std::span<std::byte> run;
  for (std::size_t i = first; i < last; ++i) {
    if (!takes(i)) continue;
    const std::span<std::byte> to = routes_[i].to;
    if (!run.empty() && offset + run.size() == offsets_[i] &&
        run.data() + run.size() == to.data()) {
      run = {run.data(), run.size() + to.size()};
      continue;
    }
    if (!run.empty()) visit(offset, run);
    offset = offsets_[i];
    run = to;
  }
  if (!run.empty()) visit(offset, run);
}

void DeviceEncoder::send(std::size_t first, std::size_t last, kernels::StreamView stream) const {
  each_run(first, last, [&](std::size_t offset, std::span<std::byte> to) {
    kernels::copy_to_host(to.data(), staged_.bytes().data() + offset, to.size(), stream);
  });
}

}  // namespace ps::nn
