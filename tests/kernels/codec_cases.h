// What the codecs' tests share: messages of both devices' codecs, and top-k in plain words.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "kernels/codec.h"
#include "kernels/codec_math.h"
#include "kernels/isa.h"

namespace ps::kernels {

using Bytes = std::vector<std::byte>;
using Values = std::vector<float>;

// One sender's settings.
struct Sender {
  Codec codec = Codec::kFp16;
  std::size_t k = 0;
  bool feedback = false;
  Rounding rounding = Rounding::kNearest;
  std::uint64_t seed = 7;
};

inline std::vector<Sender> all_senders(std::size_t count) {
  std::vector<Sender> senders;
  for (const bool feedback : {false, true}) {
    for (const Codec codec : {Codec::kFp16, Codec::kBf16, Codec::kInt8, Codec::kSign}) {
      senders.push_back({.codec = codec, .feedback = feedback});
    }
    senders.push_back(
        {.codec = Codec::kInt8, .feedback = feedback, .rounding = Rounding::kStochastic});
    for (const std::size_t k : {std::size_t{0}, std::size_t{1}, count / 100, count / 3, count}) {
      if (k <= count) senders.push_back({.codec = Codec::kTopK, .k = k, .feedback = feedback});
    }
  }
  return senders;
}

// Normal, of many sizes, with zeros of both signs and equal magnitudes among them.
inline Values gradient_like(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  Values values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(random.normal() * (i % 3 == 0 ? 1e-3 : 1e-6));
    if (i % 11 == 0) values[i] = i % 2 == 0 ? 0.0F : -0.0F;
    if (i % 13 == 5) values[i] = i % 2 == 0 ? 0.002F : -0.002F;
  }
  return values;
}

inline Bytes encode_on(Isa isa, const Sender& sender, const Values& values, Values* residual) {
  Bytes encoded(encoded_bytes(sender.codec, values.size(), sender.k), std::byte{0xA5});
  std::vector<std::uint64_t> workspace(
      encode_workspace(sender.codec, values.size(), sender.k) / 8 + 1, ~std::uint64_t{0});
  codec(isa).encode({.codec = sender.codec,
                     .count = values.size(),
                     .k = sender.k,
                     .values = values.data(),
                     .residual = residual != nullptr ? residual->data() : nullptr,
                     .encoded = encoded.data(),
                     .rounding = sender.rounding,
                     .seed = sender.seed,
                     .workspace = reinterpret_cast<std::byte*>(workspace.data())});
  return encoded;
}

inline CodecError decode_on(Isa isa,
                            Codec what,
                            const Bytes& encoded,
                            Values& values,
                            DecodeInto into = DecodeInto::kValues,
                            float weight = 1.0F) {
  return codec(isa).decode({.codec = what,
                            .count = values.size(),
                            .encoded = encoded.data(),
                            .bytes = encoded.size(),
                            .values = values.data(),
                            .weight = weight,
                            .into = into});
}

// The indices of the k largest magnitudes, the first of equal ones, in order.
inline std::vector<std::uint32_t> top_indices(const Values& p, std::size_t k) {
  std::vector<std::uint32_t> order(p.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&p](std::uint32_t a, std::uint32_t b) {
    return magnitude_bits(p[a]) > magnitude_bits(p[b]);
  });
  order.resize(k);
  std::sort(order.begin(), order.end());
  return order;
}

template <class T>
T word_at(const Bytes& bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void set_word(Bytes& bytes, std::size_t index, T value) {
  std::memcpy(bytes.data() + index * sizeof(T), &value, sizeof(T));
}

}  // namespace ps::kernels
