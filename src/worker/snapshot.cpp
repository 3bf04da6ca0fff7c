#include "worker/snapshot.h"

#include <algorithm>
#include <variant>

#include "base/assert.h"
#include "optim/modes.h"
#include "optim/optimizer.h"

namespace ps::worker {

std::vector<wire::Part> parts_on_servers(const ModelOptions& options, ParameterKind kind) {
  std::vector<wire::Part> parts;
  if (optim::kind_on_servers(options, kind) == ParameterKind::kTrained) {
    const std::size_t states = optim::Optimizer(options, 1).state_floats_per_element();
    for (std::size_t i = 0; i < states; ++i) parts.push_back(wire::state_part(i));
    const auto* async = std::get_if<Async>(&options.mode);
    if (async != nullptr && async->compensation == Compensation::kAdaptive)
      parts.push_back(wire::Part::kMeanSquare);
  }
  if (options.ema.decay > 0) parts.push_back(wire::Part::kAverage);
  parts.push_back(wire::Part::kWeights);
  return parts;
}

Snapshot::Counts counts_of(const std::vector<Snapshot::Counts>& counts,
                           std::uint64_t offset,
                           std::uint64_t count) {
  PS_ASSERT(!counts.empty() && counts.front().offset == 0, "counts begin at the first element");
  auto next = std::ranges::upper_bound(counts, offset, {}, &Snapshot::Counts::offset);
  Snapshot::Counts least = *std::prev(next);
  least.offset = offset;
  for (; next != counts.end() && next->offset < offset + count; ++next) {
    least.version = std::min(least.version, next->version);
    least.updates = std::min(least.updates, next->updates);
  }
  return least;
}

}  // namespace ps::worker
