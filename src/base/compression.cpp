#include <array>
#include <charconv>
#include <string>

#include <ps/compression.h>
#include <ps/error.h>

namespace ps {
namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, 7> kPushNames{
    "none", "fp16", "bf16", "int8", "int8-stochastic", "topk", "sign"};
constexpr std::array<std::string_view, 3> kPullNames{"none", "fp16", "bf16"};
constexpr std::string_view kTopPrefix = "topk:";

template <class Enum, std::size_t N>
Enum find(const std::array<std::string_view, N>& names,
          std::string_view name,
          const char* what,
          const char* expected) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names.at(i) == name) return static_cast<Enum>(i);
  }
  throw Error(ErrorCode::kInvalidArgument, std::string("compression of ") + what + ": '" +
                                               std::string(name) + "' is none of " + expected);
}

float parse_top(std::string_view text) {
  float top = 0.0F;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), top);
  if (error == std::errc{} && end == text.data() + text.size() && top > 0.0F && top <= 1.0F)
    return top;
  throw Error(ErrorCode::kInvalidArgument,
              "compression of push: topk:" + std::string(text) +
                  " does not say which part of the values to send: expected a number above 0 and "
                  "at most 1, such as topk:0.01");
}

}  // namespace

Compression compression_of(std::string_view push, std::string_view pull) {
  Compression compression;
  if (push.starts_with(kTopPrefix)) {
    compression.top = parse_top(push.substr(kTopPrefix.size()));
    push = kTopPrefix.substr(0, kTopPrefix.size() - 1);
  }
  compression.push = find<Compression::Push>(
      kPushNames, push, "push", "none, fp16, bf16, int8, int8-stochastic, topk, topk:PART, sign");
  compression.pull = find<Compression::Pull>(kPullNames, pull, "pull",
                                             "none, fp16, bf16 (weights are not sparse)");
  return compression;
}

}  // namespace ps
