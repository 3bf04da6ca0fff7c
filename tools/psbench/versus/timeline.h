// What the modes' rules allow where communication takes no time: gradients a second of all workers,
// from the same durations as the real runs draw. The theory line of the report.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ps/consistency.h>

namespace psbench {

// The time of a worker's step, in any unit.
using Durations = std::function<double(std::uint32_t rank, std::uint64_t step)>;

// Steps that all workers complete per unit of time, dropped ones included, while each completes at
// least `steps`, or with backup workers while so many rounds commit.
double steps_per_time(const ps::Consistency& mode,
                      std::uint32_t workers,
                      const Durations& durations,
                      std::uint64_t steps);

// SSP alone: when worker `rank` begins each of its first `steps` steps.
std::vector<double> ssp_starts(std::uint64_t staleness,
                               std::uint32_t workers,
                               const Durations& durations,
                               std::uint64_t steps,
                               std::uint32_t rank);

}  // namespace psbench
