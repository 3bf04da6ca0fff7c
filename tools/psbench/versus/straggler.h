// How long a worker's step takes, drawn from a seed: what makes stragglers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace psbench {

// Names of the ways to straggle, each with what it means.
struct StragglerKind {
  std::string name;  // none, exponential, lognormal, permanent, burst
  std::string meaning;
};
const std::vector<StragglerKind>& straggler_kinds();

// The time of step `step` of worker `rank`, in units of a step that nothing delays: a function of
// its arguments alone. Throws ps::Error(kInvalidArgument) for a kind that there is not.
class Straggler {
 public:
  Straggler(const std::string& kind, std::uint32_t workers, std::uint64_t seed);
  [[nodiscard]] double duration(std::uint32_t rank, std::uint64_t step) const;

 private:
  enum class Kind : std::uint8_t { kNone, kExponential, kLognormal, kPermanent, kBurst };
  Kind kind_;
  std::uint32_t workers_;
  std::uint64_t seed_;
};

}  // namespace psbench
