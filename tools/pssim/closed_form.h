// What theory says of a job, to stand beside what its simulation gives. Seconds of a worker's step,
// on average; formulas: docs/performance.md.
#pragma once

#include "job.h"

namespace pssim {

struct ClosedForms {
  double mean_computing = 0.0;  // over the workers
  double longest = 0.0;         // expected of the longest of a round's
  double worker_link = 0.0;     // a step's bytes over a worker's link, one way
  double shard_link = 0.0;      // all workers' over the fullest shard's link, one way
  double update = 0.0;          // all workers' at the fullest shard
  double alone = 0.0;           // there and back for a worker whom nobody hinders
  double least_step = 0.0;      // no faster than that, whatever overlaps
  // bsp only. There and back if all send at once and answers overlap pushes bucket by bucket, and
  // a step with that: an estimate, since workers that are answered one after the other push one
  // after the other, and buckets then become whole late, and all together.
  double pipelined = 0.0;
  double pipelined_step = 0.0;
  double most_step = 0.0;  // bsp only: nothing overlaps

  [[nodiscard]] double most_steps_per_second(const Job& job) const {
    return job.workers / least_step;
  }
};

ClosedForms closed_forms(const Job& job, const Layout& layout);

}  // namespace pssim
