#include "closed_form.h"

#include <algorithm>
#include <vector>

namespace pssim {
namespace {

double seconds(std::size_t bytes, double bytes_per_second) {
  return static_cast<double>(bytes) / bytes_per_second;
}

// From the first byte that leaves to the last that is back when `senders` workers send the same at
// the same time, and each bucket is answered once all of it is here. Each shard's link in, update
// and link out are stations that a bucket passes one after the other, and each station takes the
// buckets in their order. It is the time of the worker that is answered first: the others, who are
// answered later, begin their next step as much later, and their pushes are then not waited for.
double there_and_back(const Job& job,
                      const Layout& layout,
                      std::uint32_t senders,
                      std::uint32_t gradients) {
  struct Stations {
    double in = 0.0, update = 0.0, out = 0.0;
  };
  std::vector<Stations> shards(job.shards);
  const double n = senders;
  double sent = 0.0;
  double taken = 0.0;  // by that worker's link
  double end = 0.0;
  for (const std::uint32_t bucket : layout.order) {
    Stations& at = shards[layout.plan.buckets[bucket].shard];
    const double by_worker = seconds(layout.bytes[bucket], job.worker_bytes_per_second);
    const double by_shard = seconds(layout.bytes[bucket], job.shard_bytes_per_second);
    const double arrives = sent + job.latency_seconds;
    sent += by_worker;
    at.in = std::max(at.in, arrives) + n * by_shard;
    at.update = std::max({at.update, at.in, arrives + by_worker}) +
                update_seconds(job, layout.payload[bucket], gradients);
    const double answer = std::max(at.out, at.update);
    at.out = answer + n * by_shard;
    const double comes = answer + job.latency_seconds;
    taken = std::max(taken, comes) + by_worker;
    end = std::max({end, taken, comes + by_shard});
  }
  return end;
}

double fullest_update(const Job& job, const Layout& layout, std::uint32_t gradients) {
  std::vector<double> updates(job.shards);
  for (std::size_t i = 0; i < layout.payload.size(); ++i) {
    updates[layout.plan.buckets[i].shard] += update_seconds(job, layout.payload[i], gradients);
  }
  return *std::ranges::max_element(updates);
}

}  // namespace

ClosedForms closed_forms(const Job& job, const Layout& layout) {
  const bool sync = std::holds_alternative<ps::Sync>(job.mode);
  const double n = job.workers;
  const double mean = job.compute.mean_seconds;
  const double slow = job.workers > 1 ? job.compute.straggler * mean : mean;
  ClosedForms forms;
  forms.mean_computing = ((n - 1.0) * mean + slow) / n;
  forms.longest = expected_longest(job.compute, job.workers);
  forms.worker_link = seconds(layout.total, job.worker_bytes_per_second);
  forms.shard_link =
      n * seconds(*std::ranges::max_element(layout.shard_bytes), job.shard_bytes_per_second);
  forms.update =
      sync ? fullest_update(job, layout, job.workers) : n * fullest_update(job, layout, 1);
  forms.alone = there_and_back(job, layout, 1, sync ? job.workers : 1);
  const double shards = std::max(forms.shard_link, forms.update);
  if (sync) {
    forms.pipelined = there_and_back(job, layout, job.workers, job.workers);
    forms.pipelined_step = forms.longest + forms.pipelined;
    forms.most_step = forms.longest + forms.alone + 2.0 * forms.shard_link + forms.update;
    forms.least_step = std::max(forms.longest + forms.alone, shards);
    return forms;
  }
  const double rate = (n - 1.0) / (mean + forms.alone) + 1.0 / (slow + forms.alone);
  forms.least_step = std::max(n / rate, shards);
  // Sooner or later all wait for a worker that is slow for good, however far ahead they may be.
  if (std::holds_alternative<ps::Ssp>(job.mode))
    forms.least_step = std::max({forms.least_step, mean + forms.alone, slow + forms.alone});
  return forms;
}

}  // namespace pssim
