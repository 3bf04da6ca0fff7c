#include "straggler.h"

#include <algorithm>
#include <cmath>

#include <ps/error.h>

#include "base/random.h"

namespace psbench {
namespace {

constexpr double kSigma = 0.3;
constexpr double kPermanentFactor = 4.0;
constexpr double kBurstFactor = 10.0;
constexpr double kBurstShare = 0.05;

}  // namespace

const std::vector<StragglerKind>& straggler_kinds() {
  static const std::vector<StragglerKind> kinds{
      {"none", "every step takes as long"},
      {"exponential", "each step's time is exponential"},
      {"lognormal", "each step's time is lognormal, sigma 0.3"},
      {"permanent", "one worker takes 4 times as long, always"},
      {"burst", "one step in 20 takes 10 times as long"}};
  return kinds;
}

Straggler::Straggler(const std::string& kind, std::uint32_t workers, std::uint64_t seed)
    : kind_{}, workers_(workers), seed_(seed) {
  const auto& kinds = straggler_kinds();
  const auto found = std::ranges::find(kinds, kind, &StragglerKind::name);
  if (found == kinds.end()) {
    std::string names;
    for (const StragglerKind& each : kinds) names += (names.empty() ? "" : ", ") + each.name;
    throw ps::Error(ps::ErrorCode::kInvalidArgument,
                    "there is no straggler " + kind + "; expected one of " + names);
  }
  kind_ = static_cast<Kind>(found - kinds.begin());
}

double Straggler::duration(std::uint32_t rank, std::uint64_t step) const {
  ps::Random random(seed_, (std::uint64_t{rank} << 40U) + step);
  switch (kind_) {
    case Kind::kNone:
      return 1.0;
    case Kind::kExponential:
      return -std::log1p(-random.uniform());
    case Kind::kLognormal:
      return std::exp(kSigma * random.normal() - 0.5 * kSigma * kSigma);
    case Kind::kPermanent:
      return workers_ > 1 && rank + 1 == workers_ ? kPermanentFactor : 1.0;
    case Kind::kBurst:
      return random.chance(kBurstShare) ? kBurstFactor : 1.0;
  }
  return 1.0;
}

}  // namespace psbench
