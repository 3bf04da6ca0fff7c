// Top-k on the CPU: a threshold from a sample lets a little more than k values through in one pass
// at the speed of memory; among those the k largest are found by their bits. Which values are sent
// does not depend on the sample: should it have misled, all values are searched.
#include "kernels/codec_top_cpu.h"

#include "kernels/codec_cpu.h"

namespace ps::kernels::PS_ISA {
namespace {

constexpr std::uint32_t kMagnitude = 0x7FFFFFFFU;
constexpr std::size_t kStretch = 64;  // values of which the largest is compared with the threshold

// The k largest of some values: those above `bits`, and the first `ties` of those equal to it.
struct Threshold {
  std::uint32_t bits = 0;
  std::size_t ties = 0;
};

// Of 1 <= k <= size words, signs left out, by their digits of 11, 10 and 10 bits from the top.
Threshold select(const PackedWord* words,
                 std::size_t size,
                 std::size_t k,
                 std::uint32_t* counters) {
  std::uint32_t prefix = 0;
  std::uint32_t shift = 31;
  for (const std::uint32_t width : {11U, 10U, 10U}) {
    const std::uint32_t above = shift;  // bits from here on are known
    shift -= width;
    const std::uint32_t digits = 1U << width;
    for (std::uint32_t digit = 0; digit < digits; ++digit) counters[digit] = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::uint32_t word = words[i] & kMagnitude;
      counters[word >> shift & (digits - 1)] += (word >> above) == (prefix >> above) ? 1U : 0U;
    }
    std::uint32_t digit = digits - 1;
    for (; counters[digit] < k; --digit) k -= counters[digit];
    prefix |= digit << shift;
  }
  return {.bits = prefix, .ties = k};
}

// p = values + residual of a stretch, kept in the residual; the largest magnitude_bits().
template <bool kFeedback>
std::uint32_t take(const PackedFloat* values, PackedFloat* residual, std::size_t size) {
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < size; ++i) {
    float p = values[i];
    if constexpr (kFeedback) {
      p += residual[i];
      residual[i] = p;
    }
    const auto magnitude = static_cast<std::int32_t>(magnitude_bits(p));
    largest = largest < magnitude ? magnitude : largest;
  }
  return static_cast<std::uint32_t>(largest);
}

class Top {
 public:
  explicit Top(const EncodePass& pass) : pass_(pass), space_(top_workspace(pass.count, pass.k)) {
    auto* words = reinterpret_cast<std::uint32_t*>(pass.workspace);
    counters_ = words + space_.counters;
    sample_ = words + space_.sample;
    found_ = words + space_.found;
    found_bits_ = words + space_.found_bits;
    p_ =
        reinterpret_cast<const PackedWord*>(pass.residual != nullptr ? pass.residual : pass.values);
    residual_ = pass.residual;
  }

  void run() {
    const std::uint32_t least = sampled_threshold();
    const bool complete = residual_ != nullptr ? search<true>(least) : search<false>(least);
    Threshold threshold{.bits = kInfinityBits};
    if (pass_.k > 0 && complete && count_ >= pass_.k) {
      threshold = select(found_bits_, count_, pass_.k, counters_);
      emit_found(threshold);
    } else if (pass_.k > 0) {
      // Where zeros alone were not found, they fill up.
      threshold = complete && least == 1 ? Threshold{.bits = 0, .ties = pass_.k - count_}
                                         : select(p_, pass_.count, pass_.k, counters_);
      emit_all(threshold);
    }
    if (threshold.bits >= kInfinityBits) clean_residual();  // what is not finite was not all sent
  }

 private:
  // Such that probably k values or a few more reach it; 1 at least, which leaves out zeros only.
  std::uint32_t sampled_threshold() {
    if (pass_.k == 0 || space_.most_found == pass_.count) return 1;
    const std::size_t stride = pass_.count / space_.samples;
    const PackedFloat* values = pass_.values;
    const PackedFloat* residual = pass_.residual;
    for (std::size_t i = 0; i < space_.samples; ++i) {
      const float p = values[i * stride] + (residual != nullptr ? residual[i * stride] : 0.0F);
      sample_[i] = bits_of(p);
    }
    // Of m expected ones three standard deviations more.
    const double share = static_cast<double>(space_.samples) / static_cast<double>(pass_.count);
    const double expected = share * static_cast<double>(pass_.k);
    const double root = __builtin_sqrt(expected);
    const auto rank = static_cast<std::size_t>(expected + 3.0 * root + 4.0);
    if (rank >= space_.samples) return 1;
    const std::uint32_t bits = select(sample_, space_.samples, rank, counters_).bits;
    return bits > 0 ? bits : 1;
  }

  // Finds what reaches `least`, in order. False if that is more than there is room for.
  template <bool kFeedback>
  bool search(std::uint32_t least) {
    bool complete = true;
    for (std::size_t begin = 0; begin < pass_.count; begin += kStretch) {
      const std::size_t left = pass_.count - begin;
      const std::size_t size = left < kStretch ? left : kStretch;
      const PackedFloat* values = pass_.values + begin;
      PackedFloat* residual = kFeedback ? pass_.residual + begin : nullptr;
      const std::uint32_t largest = size == kStretch ? take<kFeedback>(values, residual, kStretch)
                                                     : take<kFeedback>(values, residual, size);
      if (largest < least || !complete) continue;
      complete = note(begin, size, least);
    }
    return complete;
  }

  bool note(std::size_t begin, std::size_t size, std::uint32_t least) {
    const std::size_t room = space_.most_found - count_;
    if (room >= size) {  // without branches
      std::size_t next = count_;
      for (std::size_t i = begin; i < begin + size; ++i) {
        found_[next] = static_cast<std::uint32_t>(i);
        found_bits_[next] = p_[i];
        next += (p_[i] & kMagnitude) >= least ? 1 : 0;
      }
      count_ = next;
      return true;
    }
    for (std::size_t i = begin; i < begin + size; ++i) {
      if ((p_[i] & kMagnitude) < least) continue;
      if (count_ == space_.most_found) return false;
      found_[count_] = static_cast<std::uint32_t>(i);
      found_bits_[count_++] = p_[i];
    }
    return true;
  }

  // Whether a value is sent; ties are used up from the first on.
  static bool sent(std::uint32_t bits, Threshold& threshold) {
    const std::uint32_t magnitude = bits & kMagnitude;
    if (magnitude != threshold.bits) return magnitude > threshold.bits;
    if (threshold.ties == 0) return false;
    --threshold.ties;
    return true;
  }

  void emit(std::size_t slot, std::size_t index, std::uint32_t bits) {
    PackedWord* words = reinterpret_cast<PackedWord*>(pass_.encoded);
    words[slot] = static_cast<std::uint32_t>(index);
    words[pass_.k + slot] = bits;
    if (residual_ != nullptr) residual_[index] = 0.0F;
  }

  void emit_found(Threshold threshold) {
    std::size_t slot = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      if (sent(found_bits_[i], threshold)) emit(slot++, found_[i], found_bits_[i]);
    }
  }

  void emit_all(Threshold threshold) {
    std::size_t slot = 0;
    for (std::size_t i = 0; slot < pass_.k; ++i) {
      const std::uint32_t bits = p_[i];
      if (sent(bits, threshold)) emit(slot++, i, bits);
    }
  }

  void clean_residual() {
    if (residual_ == nullptr) return;
    for (std::size_t i = 0; i < pass_.count; ++i) residual_[i] = residual_of(residual_[i], 0.0F);
  }

  const EncodePass& pass_;
  const TopWorkspace space_;
  std::uint32_t* counters_ = nullptr;
  std::uint32_t* sample_ = nullptr;
  std::uint32_t* found_ = nullptr;
  std::uint32_t* found_bits_ = nullptr;
  const PackedWord* p_ = nullptr;
  PackedFloat* residual_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace

void encode_top(const EncodePass& pass) {
  if (pass.count > 0) Top(pass).run();
}

CodecError decode_top(const DecodePass& pass) {
  const std::size_t k = pass.bytes / 8;
  const PackedWord* indices = reinterpret_cast<const PackedWord*>(pass.encoded);
  bool good = k == 0 || indices[0] < pass.count;
  for (std::size_t i = 1; i < k; ++i) {
    good &= indices[i] < pass.count && indices[i - 1] < indices[i];
  }
  if (!good) return CodecError::kIndex;
  const PackedFloat* sent = reinterpret_cast<const PackedFloat*>(pass.encoded + 4 * k);
  PackedFloat* values = pass.values;
  if (pass.into == DecodeInto::kSum) {
    for (std::size_t i = 0; i < k; ++i) put<true>(values[indices[i]], pass.weight, sent[i]);
    return CodecError::kNone;
  }
  for (std::size_t i = 0; i < pass.count; ++i) values[i] = 0.0F;
  for (std::size_t i = 0; i < k; ++i) put<false>(values[indices[i]], pass.weight, sent[i]);
  return CodecError::kNone;
}

}  // namespace ps::kernels::PS_ISA
