#include "sim/oracles.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <sstream>
#include <variant>
#include <vector>

#include "cluster/placement.h"

namespace ps::sim {
namespace {

// splitmix64's finalizer.
std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9ULL;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

float in_unit_range(std::uint64_t bits) {
  return static_cast<float>(static_cast<double>(mix(bits) >> 40) / double{1 << 23} - 1.0);
}

bool skips(const StepPlan& plan, std::uint32_t parameter) {
  return plan.begin.weight <= 0 || (!plan.skipped.empty() && plan.skipped[parameter]);
}

std::uint32_t backup_workers(const Program& program) {
  const auto* sync = std::get_if<Sync>(&program.options.mode);
  return sync == nullptr ? 0 : sync->backup_workers;
}

// A NaN of anybody's: no shard may apply the round.
bool is_spoiled(const Program& program, std::uint32_t workers, std::uint64_t round) {
  if (program.options.finite != Finite::kStep) return false;
  for (std::uint32_t rank = 0; rank < workers; ++rank) {
    if (program.plan({rank, rank}, round).spoiled) return true;
  }
  return false;
}

// --- sync: an independent replay, element by element -------------------------------------------

class SyncReplay {
 public:
  SyncReplay(const Program& program, const UpdateWatch& watch) : program_(program), watch_(watch) {
    for (std::uint64_t step = 0; step < program.steps; ++step) {
      std::vector<StepPlan> plans;
      for (std::uint32_t rank = 0; rank < watch.workers(); ++rank)
        plans.push_back(program.plan({rank, rank}, step));
      rounds_.push_back({std::move(plans), rate(samples_, start_of_first()),
                         rate(samples_, program.options.schedule.warmup_start),
                         momentum(samples_)});
      for (const StepPlan& plan : rounds_.back().plans) samples_ += plan.begin.samples;
    }
  }

  [[nodiscard]] float weight(std::uint32_t parameter, std::uint64_t element) const {
    const Sgd& rule = std::get<Sgd>(program_.options.optimizer);
    float w = initial_weight(parameter, element);
    float v = 0.0F;
    for (std::uint64_t step = 0; step < rounds_.size(); ++step) {
      const auto g = gradient(parameter, element, step);
      if (!g || is_spoiled(program_, watch_.workers(), step)) continue;
      if (program_.parameters[parameter].kind == ParameterKind::kAverage) {
        w = *g;
        continue;
      }
      const float decayed = *g + rule.weight_decay * w;
      v = rule.momentum > 0 ? rounds_[step].momentum * v + decayed : decayed;
      w = w - (parameter == 0 ? rounds_[step].lr_of_first : rounds_[step].lr) * v;
    }
    return w;
  }

 private:
  struct RoundPlans {
    std::vector<StepPlan> plans;  // by rank
    float lr_of_first;            // parameter, which may be a group
    float lr;
    float momentum;
  };

  [[nodiscard]] double start_of_first() const {
    const ModelOptions& options = program_.options;
    return options.groups.empty() ? options.schedule.warmup_start
                                  : options.groups.front().warmup_start;
  }

  [[nodiscard]] double warmed(std::uint64_t samples) const {
    const std::uint64_t all = program_.options.schedule.warmup_samples;
    return samples < all ? static_cast<double>(samples) / static_cast<double>(all) : 1.0;
  }

  // Constant or linear.
  [[nodiscard]] double decay(std::uint64_t samples) const {
    const Schedule& schedule = program_.options.schedule;
    if (schedule.kind == Schedule::Kind::kConstant) return 1.0;
    if (schedule.epoch_samples > 0)
      samples = samples / schedule.epoch_samples * schedule.epoch_samples;
    const std::uint64_t begin = schedule.decay_from_start ? 0 : schedule.warmup_samples;
    if (samples <= begin) return 1.0;
    const double part = std::min(1.0, static_cast<double>(samples - begin) /
                                          static_cast<double>(schedule.total_samples - begin));
    const double end = schedule.final_factor;
    return end + (1.0 - end) * (1.0 - part);
  }

  [[nodiscard]] float rate(std::uint64_t samples, double start) const {
    const Schedule& schedule = program_.options.schedule;
    const double base = std::get<Sgd>(program_.options.optimizer).lr;
    if (samples >= schedule.warmup_samples) return static_cast<float>(base * decay(samples));
    double share = 1.0;
    for (std::uint32_t i = 0; i < schedule.warmup_power; ++i) share *= warmed(samples);
    const double target = schedule.decay_from_start ? decay(samples) : 1.0;
    return static_cast<float>(base * (start + (target - start) * share));
  }

  [[nodiscard]] float momentum(std::uint64_t samples) const {
    const float own = std::get<Sgd>(program_.options.optimizer).momentum;
    const double start = program_.options.schedule.warmup_momentum;
    if (start < 0 || warmed(samples) == 1.0) return own;
    return static_cast<float>(start + (static_cast<double>(own) - start) * warmed(samples));
  }

  [[nodiscard]] std::optional<float> gradient(std::uint32_t parameter,
                                              std::uint64_t element,
                                              std::uint64_t step) const {
    const bool mean = program_.options.reduce == Reduce::kMean ||
                      program_.parameters[parameter].kind == ParameterKind::kAverage;
    float sum = 0.0F;
    double weights = 0.0;
    bool any = false;
    for (std::uint32_t rank = 0; rank < rounds_[step].plans.size(); ++rank) {
      const StepPlan& plan = rounds_[step].plans[rank];
      if (skips(plan, parameter) || !watch_.contributed(rank, step)) continue;
      const double n = mean ? plan.begin.weight : 1.0;
      const float term = static_cast<float>(n) * sync_gradient(rank, step, parameter, element);
      sum = any ? sum + term : term;
      weights += n;
      any = true;
    }
    if (!any) return std::nullopt;
    return mean ? sum / static_cast<float>(weights) : sum;
  }

  const Program& program_;
  const UpdateWatch& watch_;
  std::vector<RoundPlans> rounds_;
  std::uint64_t samples_ = 0;
};

std::string at(std::uint32_t parameter, std::uint64_t element) {
  return "parameter " + std::to_string(parameter) + ", element " + std::to_string(element);
}

// --- async and ssp: counting -------------------------------------------------------------------

// Pushes that a chunk keeps for its next update; at the job's end they never count.
std::uint64_t most_held(const Program& program) {
  const auto* async = std::get_if<Async>(&program.options.mode);
  return async == nullptr ? 0 : async->pushes_per_update - 1;
}

// How often each element's step must count at least and at most, if no push is held.
struct Bounds {
  std::vector<float> least;
  std::vector<float> most;
};
Bounds bounds_of(std::uint32_t parameter,
                 std::size_t elements,
                 const Simulator& job,
                 const Program& program) {
  Bounds bounds{std::vector<float>(elements), std::vector<float>(elements)};
  for (const auto& record : job.lives()) {
    for (const StepRecord& step : record->steps) {
      if (skips(step.plan, parameter)) continue;
      const std::uint64_t mark = mark_of(record->life, step.step, program);
      bounds.most[mark] += 1;
      if (step.ended != kNever && step.result.stale == 0) bounds.least[mark] += 1;
    }
  }
  return bounds;
}

std::string check_counts(const std::vector<std::vector<float>>& weights,
                         const Simulator& job,
                         const Program& program) {
  std::vector<Bounds> bounds;
  for (std::uint32_t p = 0; p < weights.size(); ++p)
    bounds.push_back(bounds_of(p, weights[p].size(), job, program));
  const std::uint64_t chunk_bytes = job.scheduler().view().models.front().options.chunk_bytes;
  for (const auto& chunk : cluster::chunks_of(program.parameters, chunk_bytes)) {
    const std::uint32_t p = chunk.parameter;
    auto held = static_cast<float>(most_held(program));
    for (std::uint64_t i = chunk.offset; i < chunk.offset + chunk.count; ++i) {
      const float counted = weights[p][i];
      const float least = bounds[p].least[i];
      const float most = bounds[p].most[i];
      held -= std::max(0.0F, least - counted);
      if (held >= 0 && counted >= 0 && counted <= most && counted == std::floor(counted)) continue;
      return "counting: " + at(p, i) + " (life " + std::to_string(i / program.steps) + ", step " +
             std::to_string(i % program.steps) + ") counted " + std::to_string(counted) +
             " times, " + std::to_string(least) + " to " + std::to_string(most) +
             " expected, but for " + std::to_string(most_held(program)) + " of its chunk";
    }
  }
  return {};
}

// Without deaths every sample is read by exactly one worker, once.
std::string check_leases(const Simulator& job, const Program& program) {
  std::vector<int> read(program.lease_samples);
  for (const auto& record : job.lives()) {
    for (const wire::LeaseGrant& lease : record->leases) {
      if (lease.end > read.size()) return "leases: a block ends beyond the last sample";
      for (std::uint64_t i = lease.begin; i < lease.end; ++i) ++read[i];
    }
  }
  for (std::uint64_t i = 0; i < read.size(); ++i) {
    if (read[i] != 1)
      return "leases: sample " + std::to_string(i) + " was read " + std::to_string(read[i]) +
             " times";
  }
  return {};
}

// --- every life --------------------------------------------------------------------------------

// Without backup workers every parameter arrives by itself, unless its step was late or only
// pushed.
bool arrived_well(const StepRecord& step, const Program& program) {
  const auto* sync = std::get_if<Sync>(&program.options.mode);
  const bool never = step.plan.begin.verb == worker::Verb::kPush;
  if (never || (sync != nullptr && sync->backup_workers > 0)) return step.arrived == 0;
  return step.result.late > 0 || step.arrived == program.parameters.size();
}

std::string check_life(const LifeRecord& record, const Program& program) {
  const std::string who = "worker " + std::to_string(record.life.rank) + ", life " +
                          std::to_string(record.life.number) + ": ";
  const bool whole = record.left || record.failure;
  if (whole && record.operations != record.operations_ended)
    return who + std::to_string(record.operations) + " operations, " +
           std::to_string(record.operations_ended) + " ended";
  if (!record.changed.empty())
    return who + "weights changed after they had come: " + record.changed;
  std::uint64_t version = 0;
  for (const StepRecord& step : record.steps) {
    if (step.ended == kNever) continue;
    if (!arrived_well(step, program))
      return who + std::to_string(step.arrived) + " parameters arrived by themselves in step " +
             std::to_string(step.step);
    if (step.result.nonfinite != 0 && !step.plan.spoiled)
      return who + "finite gradients were refused as NaN";
    if (step.plan.spoiled && step.result.nonfinite + step.result.late == 0)
      return who + "a NaN was taken";
    if (step.result.version < version)
      return who + "version " + std::to_string(step.result.version) + " came after " +
             std::to_string(version);
    version = step.result.version;
  }
  return {};
}

}  // namespace

float sync_gradient(std::uint32_t rank,
                    std::uint64_t step,
                    std::uint32_t parameter,
                    std::uint64_t element) {
  return in_unit_range(mix(rank * 1000003ULL + step * 7919 + parameter * 104729 + 1) + element);
}

float initial_weight(std::uint32_t parameter, std::uint64_t element) {
  return in_unit_range(parameter * 15485863ULL + element);
}

std::uint64_t mark_of(const Life& life, std::uint64_t step, const Program& program) {
  return life.number * program.steps + step;
}

void UpdateWatch::on_update(const Update& update) {
  ++updates_;
  const auto key = std::pair(update.chunk.parameter, update.chunk.offset);
  std::uint64_t expected = versions_[key]++;
  if (!wrong_.empty()) return;
  const std::string where = at(update.chunk.parameter, update.chunk.offset) + ", version " +
                            std::to_string(update.version);
  while (expected < update.version && is_spoiled(program_, workers_, expected))
    expected = versions_[key]++;
  if (update.version != expected) {
    wrong_ = where + ": version " + std::to_string(expected) + " was due";
    return;
  }
  if (update.round != nullptr) judge(update, where);
}

// Without backup workers all contribute to a round; else the same ones to all chunks, and too few.
void UpdateWatch::judge(const Update& update, const std::string& where) {
  if (const auto* async = std::get_if<Async>(&program_.options.mode)) {
    if (update.round->contributors().size() > async->pushes_per_update)
      wrong_ = where + ": more pushes than make an update";
    return;
  }
  const std::uint32_t backup = backup_workers(program_);
  if (is_spoiled(program_, workers_, update.version)) {
    wrong_ = where + ": the round is not finite and was committed";
    return;
  }
  if (backup > 0) {
    const auto contributors = update.round->contributors();
    const auto& ticket = tickets_.emplace(update.version, contributors).first->second;
    if (ticket != contributors) wrong_ = where + ": other contributors than to another chunk";
    if (contributors.empty() || contributors.size() > workers_ - backup)
      wrong_ = where + ": " + std::to_string(contributors.size()) + " contributors";
    return;
  }
  std::vector<std::uint32_t> contributors;
  for (std::uint32_t rank = 0; rank < workers_; ++rank) {
    if (!skips(program_.plan({rank, rank}, update.version), update.chunk.parameter))
      contributors.push_back(rank);
  }
  if (update.round->contributors() != contributors)
    wrong_ = where + ": the round was committed without all of its contributors";
}

bool UpdateWatch::contributed(std::uint32_t rank, std::uint64_t round) const {
  if (backup_workers(program_) == 0) return true;
  const auto ticket = tickets_.find(round);
  return ticket != tickets_.end() && std::ranges::binary_search(ticket->second, rank);
}

std::string check_bits(const std::vector<std::vector<float>>& weights,
                       const Program& program,
                       const UpdateWatch& watch) {
  const SyncReplay replay(program, watch);
  for (std::uint32_t p = 0; p < weights.size(); ++p) {
    for (std::uint64_t i = 0; i < weights[p].size(); ++i) {
      const float expected = replay.weight(p, i);
      if (std::bit_cast<std::uint32_t>(weights[p][i]) == std::bit_cast<std::uint32_t>(expected))
        continue;
      std::ostringstream text;
      text << std::hexfloat << "sync: " << at(p, i) << " is " << weights[p][i]
           << ", a single process computes " << expected;
      return text.str();
    }
  }
  return {};
}

std::string check_gap(const Simulator& job,
                      const Life& life,
                      std::uint64_t step,
                      std::uint64_t staleness) {
  const auto& workers = job.scheduler().view().workers;
  // Whoever is dead or has been replaced does no harm: the shards take nothing from it.
  const auto counts = [&](const LifeRecord& one) {
    const wire::WorkerInfo& member = workers[one.life.rank];
    return member.incarnation == one.incarnation && member.state == wire::WorkerInfo::State::kAlive;
  };
  if (!counts(*job.lives()[life.number])) return {};
  for (const auto& other : job.lives()) {
    if (!other->running || !other->counted || !counts(*other)) continue;
    // Its step counts as completed once it is pushed, though the answer may still be under way.
    const bool pushed = !other->steps.empty() && other->steps.back().pushed != kNever;
    const std::uint64_t completed = other->next_step + (pushed ? 1 : 0);
    if (step <= completed + staleness) continue;
    return "ssp: worker " + std::to_string(life.rank) + " starts step " + std::to_string(step) +
           " when worker " + std::to_string(other->life.rank) + " has completed " +
           std::to_string(completed) + "; " + std::to_string(staleness) + " are allowed";
  }
  return {};
}

std::string check_end(const Simulator& job, const Program& program, const UpdateWatch& watch) {
  const std::uint32_t workers = watch.workers();
  if (const std::string failure = job.scheduler().failure(); !failure.empty())
    return "the job failed: " + failure;
  std::vector<const LifeRecord*> left(workers);
  for (const auto& record : job.lives()) {
    if (std::string wrong = check_life(*record, program); !wrong.empty()) return wrong;
    // One that crashed while it said goodbye has finished, too, if the scheduler heard it.
    const bool gone =
        job.scheduler().view().workers[record->life.rank].state == wire::WorkerInfo::State::kLeft;
    if (record->left || (gone && !record->final_weights.empty()))
      left[record->life.rank] = record.get();
  }
  for (std::uint32_t rank = 0; rank < workers; ++rank) {
    if (left[rank] == nullptr) return "worker " + std::to_string(rank) + " never finished";
    if (left[rank]->final_weights != left[0]->final_weights)
      return "worker " + std::to_string(rank) + " ended with other weights than worker 0";
  }
  if (program.lease_block > 0) {
    if (std::string wrong = check_leases(job, program); !wrong.empty()) return wrong;
  }
  const auto& weights = left[0]->final_weights;
  if (std::holds_alternative<Sync>(program.options.mode))
    return check_bits(weights, program, watch);
  return check_counts(weights, job, program);
}

}  // namespace ps::sim
