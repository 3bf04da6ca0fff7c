#include "sim/swarm.h"

#include <algorithm>
#include <limits>
#include <sstream>

#include "base/random.h"
#include "sim/oracles.h"

namespace ps::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

Duration between(Random& random, Duration low, Duration high) {
  return low + Duration(static_cast<Duration::rep>(
                   random.below(static_cast<std::uint64_t>((high - low).count()) + 1)));
}

// Numbers that belong to (seed, rank, step) alone.
Random of_step(std::uint64_t seed, std::uint32_t rank, std::uint64_t step) {
  return Random(seed ^ 0xC0FFEE, (std::uint64_t{rank} << 32) + step);
}

struct Shape {
  Duration compute_min;
  Duration compute_max;
  bool skips = false;
  bool idle = false;  // some steps have weight 0
  bool early = false;
  bool pushes = false;  // some steps only push
  bool spoils = false;  // some steps have a NaN
};

bool has_backup(const Program& program) {
  const auto* sync = std::get_if<Sync>(&program.options.mode);
  return sync != nullptr && sync->backup_workers > 0;
}

bool is_softsync(const Program& program) {
  const auto* async = std::get_if<Async>(&program.options.mode);
  return async != nullptr && async->pushes_per_update > 1;
}

// --- the model and its program
// ---------------------------------------------------------------------

// As constant after the warm-up as ever, or with all that a detector's has.
void draw_schedule(Random& random, ModelOptions& options) {
  Schedule& schedule = options.schedule;
  schedule.warmup_samples = 1 + random.below(60);
  schedule.warmup_start = 0.1F;
  if (random.chance(0.5)) return;
  schedule.kind = Schedule::Kind::kLinear;
  schedule.total_samples = schedule.warmup_samples + 1 + random.below(100);
  schedule.final_factor = 0.25F;
  if (random.chance(0.7)) schedule.epoch_samples = 1 + random.below(40);
  schedule.decay_from_start = random.chance(0.7);
  schedule.warmup_power = 1 + static_cast<std::uint32_t>(random.below(3));
  if (random.chance(0.7)) schedule.warmup_momentum = 0.5F;
  if (random.chance(0.7)) options.groups = {{.pattern = "p0", .warmup_start = 4.0F}};
}

void draw_options(Random& random, const JobOptions& job, Program& program) {
  ModelOptions& options = program.options;
  const std::uint64_t mode = random.below(10);
  if (mode < 5) {
    const bool all_live = job.on_failure == cluster::OnFailure::kStop && job.workers > 1;
    const bool backup = all_live && random.chance(0.3);
    options.mode = Sync{.backup_workers = backup ? 1U : 0U};
    if (random.chance(0.25)) options.finite = Finite::kStep;
    if (random.chance(0.2)) options.clip_norm = 1e30F;  // a factor of 1, yet all shards agree on it
    options.optimizer = Sgd{.lr = 0.05F,
                            .momentum = random.chance(0.8) ? 0.9F : 0.0F,
                            .nesterov = false,
                            .weight_decay = random.chance(0.5) ? 0.01F : 0.0F};
    options.reduce = random.chance(0.7) ? Reduce::kMean : Reduce::kSum;
    if (!backup && random.chance(0.4)) draw_schedule(random, options);
  } else {
    if (mode < 7) {
      options.mode = Async{};
      if (random.chance(0.4))
        std::get<Async>(options.mode).max_staleness = static_cast<std::int64_t>(random.below(6));
      if (random.chance(0.3)) {
        std::get<Async>(options.mode).pushes_per_update =
            2 + static_cast<std::uint32_t>(random.below(3));
        options.reduce = Reduce::kSum;  // so that each push leaves its whole mark
      }
    } else {
      options.mode = Ssp{.staleness = random.below(4), .staleness_aware = false};
    }
    options.optimizer = Sgd{.lr = 1.0F, .momentum = 0.0F, .nesterov = false, .weight_decay = 0.0F};
  }
  constexpr std::uint64_t kChunkBytes[] = {0, 64, 256, 4096};
  options.chunk_bytes = kChunkBytes[random.below(4)];
}

void draw_model(Random& random, Program& program) {
  const bool sync = std::holds_alternative<Sync>(program.options.mode);
  const bool large = program.steps < 16 && random.chance(0.1);  // several messages a step
  const bool is_long = program.steps >= 16;
  if (large || is_long) program.options.chunk_bytes = 0;
  const std::uint64_t count = 1 + random.below(is_long ? 2 : 4);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t least = sync ? 1 : kMaxLives * program.steps;
    const std::uint64_t elements = large ? std::max<std::uint64_t>(least, 9000 + random.below(1000))
                                         : least + random.below(80);
    wire::ParameterInfo info;
    info.name = "p" + std::to_string(i);
    info.shape = {static_cast<std::int64_t>(elements)};
    if (sync && i > 0 && random.chance(0.2)) info.kind = ParameterKind::kAverage;
    program.parameters.push_back(std::move(info));
  }
}

void draw_program(Random& random, const JobOptions& job, Program& program) {
  draw_options(random, job, program);
  const bool sync = std::holds_alternative<Sync>(program.options.mode);
  const bool is_long = random.chance(0.06);  // sequence numbers beyond a byte
  program.steps = is_long ? 270 + random.below(30) : 2 + random.below(9);
  draw_model(random, program);
  Shape shape;
  shape.compute_min = microseconds(random.below(5000));
  shape.compute_max =
      shape.compute_min + microseconds(is_long ? random.below(2000) : random.below(60000));
  shape.skips = random.chance(0.4);
  shape.idle = random.chance(0.3);
  shape.early = random.chance(0.5);
  shape.pushes = random.chance(0.4);
  shape.spoils = program.options.finite == Finite::kStep && random.chance(0.7);
  // What counts is then up to who is first; the oracle knows whole steps only.
  if (has_backup(program)) shape.skips = shape.idle = shape.pushes = shape.spoils = false;
  if (sync) program.initial = initial_weight;
  const std::size_t parameters = program.parameters.size();
  program.plan = [seed = job.seed, shape, parameters](const Life& life, std::uint64_t step) {
    Random draw = of_step(seed, life.rank, step);
    StepPlan plan;
    plan.compute = between(draw, shape.compute_min, shape.compute_max);
    plan.early = shape.early && draw.chance(0.5);
    plan.begin.verb =
        shape.pushes && draw.chance(0.4) ? worker::Verb::kPush : worker::Verb::kPushPull;
    plan.begin.samples = 1 + static_cast<std::uint32_t>(draw.below(5));
    plan.begin.weight = shape.idle && draw.chance(0.2) ? 0.0 : plan.begin.samples;
    plan.skipped.resize(parameters);
    for (std::size_t i = 0; i < parameters; ++i) plan.skipped[i] = shape.skips && draw.chance(0.3);
    plan.spoiled =
        shape.spoils && draw.chance(0.1) && plan.begin.weight > 0 && !plan.skipped.front();
    return plan;
  };
}

// What workers put into their gradients; `program` outlives the functions.
void set_fill(Program& program, const Program& whole) {
  program.fill = [&whole](const Life& life, std::uint64_t step,
                          const std::vector<Memory>& gradients) {
    const bool sync = std::holds_alternative<Sync>(whole.options.mode);
    for (std::uint32_t p = 0; p < gradients.size(); ++p) {
      const auto values = gradients[p].as<float>();
      if (sync) {
        for (std::uint64_t i = 0; i < values.size(); ++i)
          values[i] = sync_gradient(life.rank, step, p, i);
        if (p == 0 && whole.plan(life, step).spoiled)
          values[step % values.size()] = std::numeric_limits<float>::quiet_NaN();
      } else {
        std::ranges::fill(values, 0.0F);
        values[mark_of(life, step, whole)] = -1.0F;  // w -= 1 * g
      }
    }
  };
}

// --- faults
// ----------------------------------------------------------------------------------------

net::SimFaults draw_faults(Random& random) {
  net::SimFaults faults;
  faults.delay_min = microseconds(50);
  faults.delay_max =
      microseconds(50) + (random.chance(0.6) ? between(random, microseconds(50), milliseconds(30))
                                             : Duration(microseconds(100)));
  if (random.chance(0.5)) faults.drop = random.uniform(0.001, 0.08);
  if (random.chance(0.5)) faults.duplicate = random.uniform(0.001, 0.1);
  if (random.chance(0.4)) faults.reorder = random.uniform(0.001, 0.2);
  if (random.chance(0.4)) faults.flip = random.uniform(0.001, 0.03);
  if (random.chance(0.4)) faults.reset = random.uniform(0.0005, 0.01);
  faults.reorder_delay = between(random, milliseconds(1), milliseconds(40));
  return faults;
}

Duration any_of(Random& random, std::initializer_list<Duration> choices) {
  return *(choices.begin() + random.below(choices.size()));
}

Strike draw_strike(Random& random, const JobOptions& job, Duration span) {
  using Kind = Strike::Kind;
  const bool deaths = job.on_failure == cluster::OnFailure::kWait;
  Strike strike;
  strike.kind = static_cast<Kind>(deaths ? random.below(Strike::kKinds) : 3 + random.below(3));
  if (!deaths && random.chance(0.2)) strike.kind = Kind::kFreeze;
  strike.after = between(random, Duration{0}, span);
  strike.rank = static_cast<std::uint32_t>(random.below(job.workers));
  strike.lasts = between(random, milliseconds(10), milliseconds(1500));
  const auto others = static_cast<std::uint32_t>(1 + job.shards);
  strike.b = static_cast<net::SimNode>(random.below(others));
  strike.a = random.chance(0.7) ? strike.b : static_cast<net::SimNode>(random.below(others));
  if (strike.kind == Kind::kCrash) {
    strike.lasts = any_of(random, {milliseconds(20), milliseconds(800), milliseconds(8000),
                                   std::chrono::seconds(40)});
  } else if (strike.kind == Kind::kFreeze && deaths) {
    strike.lasts = any_of(random, {milliseconds(300), milliseconds(2000), milliseconds(9000)});
  } else if (strike.kind == Kind::kRival) {
    strike.rival_after = any_of(random, {milliseconds(30), milliseconds(7000)});
    strike.lasts = strike.rival_after + between(random, milliseconds(1), milliseconds(300));
  }
  return strike;
}

class Run {
 public:
  explicit Run(const Scenario& scenario)
      : scenario_(scenario),
        program_(watched(scenario.program)),
        watch_(scenario.program, scenario.job.workers),
        job_(scenario.job, program_, &watch_) {}

  Result operator()() {
    const TimePoint start = job_.now();
    job_.network().set_faults(scenario_.faults);
    job_.restart_failed_after(scenario_.job.on_failure == cluster::OnFailure::kWait
                                  ? Duration(milliseconds(300))
                                  : Duration{0});
    job_.at(start + scenario_.heal_after, [this] { heal(); });
    for (const Strike& strike : scenario_.strikes)
      job_.at(start + strike.after, [this, &strike] { befall(strike); });
    const bool over = job_.run(start + scenario_.limit);
    result_.wrong = gap_;
    if (result_.wrong.empty()) result_.wrong = watch_.wrong();
    if (result_.wrong.empty() && !over)
      result_.wrong = "liveness: the job is not over " + job_.describe();
    if (result_.wrong.empty()) result_.wrong = check_end(job_, scenario_.program, watch_);
    if (result_.wrong.empty()) result_.wrong = check_pace();
    result_.trace_hash = job_.trace_hash();
    result_.messages = job_.messages();
    result_.simulated = job_.now() - start;
    result_.faults = job_.network().counts();
    return result_;
  }

 private:
  // The scenario's program, with an eye on the gap between workers.
  Program watched(Program program) {
    set_fill(program, scenario_.program);
    const auto* ssp = std::get_if<Ssp>(&program.options.mode);
    if (ssp == nullptr) return program;
    program.plan = [this, plan = program.plan, staleness = ssp->staleness](const Life& life,
                                                                           std::uint64_t step) {
      if (gap_.empty()) gap_ = check_gap(job_, life, step, staleness);
      return plan(life, step);
    };
    return program;
  }

  void heal() {
    job_.network().set_faults({.delay_min = microseconds(50), .delay_max = microseconds(150)});
  }

  void befall(const Strike& strike) {
    const net::SimNode other = strike.a == strike.b ? job_.node_of_worker(strike.rank) : strike.a;
    ++result_.strikes[static_cast<std::size_t>(strike.kind)];
    switch (strike.kind) {
      case Strike::Kind::kCrash:
        job_.crash_worker(strike.rank);
        job_.at(job_.now() + strike.lasts, [this, &strike] { start_again(strike.rank); });
        return;
      case Strike::Kind::kFreeze:
        job_.freeze_worker(strike.rank, job_.now() + strike.lasts);
        return;
      case Strike::Kind::kRival:
        job_.freeze_worker(strike.rank, job_.now() + strike.lasts);
        job_.at(job_.now() + strike.rival_after, [this, &strike] { start_again(strike.rank); });
        return;
      case Strike::Kind::kPartition:
        job_.network().partition(other, strike.b, job_.now() + strike.lasts);
        return;
      case Strike::Kind::kOneWay:
        job_.network().cut(other, strike.b, job_.now() + strike.lasts);
        return;
      case Strike::Kind::kReset:
        job_.network().reset_connections(other, strike.b);
        return;
    }
  }

  // Unless it has finished, or somebody else has started it meanwhile and it runs well.
  void start_again(std::uint32_t rank) {
    const auto& state = job_.scheduler().view().workers[rank].state;
    if (state == wire::WorkerInfo::State::kLeft || job_.lives().size() >= kMaxLives) return;
    job_.start_worker(rank);
  }

  // In async and ssp mode nobody waits for the dead: a step that was pushed ends soon after what
  // its own links and the death of another need.
  std::string check_pace() const {
    if (std::holds_alternative<Sync>(scenario_.program.options.mode)) return {};
    constexpr Duration kLongest = std::chrono::seconds(20);
    for (const auto& record : job_.lives()) {
      for (const StepRecord& step : record->steps) {
        if (step.ended == kNever || step.ended - step.pushed <= kLongest) continue;
        return "worker " + std::to_string(record->life.rank) + " waited " +
               std::to_string(seconds(step.ended - step.pushed)) + " s in step " +
               std::to_string(step.step) + " for workers that were dead";
      }
    }
    return {};
  }

  const Scenario& scenario_;
  Program program_;
  std::string gap_;
  Result result_;
  UpdateWatch watch_;
  Simulator job_;
};

}  // namespace

Scenario draw_scenario(std::uint64_t seed) {
  Random random(seed, 7);
  Scenario scenario;
  JobOptions& job = scenario.job;
  job.seed = seed;
  job.timing = sim_timing();
  job.workers = 1 + static_cast<std::uint32_t>(random.below(4));
  job.shards = 1 + static_cast<std::uint32_t>(random.below(3));
  job.on_failure = random.chance(0.4) ? cluster::OnFailure::kWait : cluster::OnFailure::kStop;
  draw_program(random, job, scenario.program);
  if (random.chance(0.3)) job.staging_bytes = 64 + random.below(4096);
  if (random.chance(0.3)) job.credit_bytes = 64 + random.below(4096);
  // Rounds that go on without a worker take it past a barrier.
  if (job.on_failure == cluster::OnFailure::kStop && !has_backup(scenario.program) &&
      random.chance(0.4))
    scenario.program.barrier_every = 1 + random.below(4);
  const bool sync = std::holds_alternative<Sync>(scenario.program.options.mode);
  if (job.on_failure == cluster::OnFailure::kStop && !sync && random.chance(0.3)) {
    scenario.program.lease_block = 1 + random.below(9);  // at most `steps` blocks
    scenario.program.lease_samples = scenario.program.lease_block * scenario.program.steps -
                                     random.below(scenario.program.lease_block);
  }
  scenario.faults = draw_faults(random);
  scenario.heal_after = between(random, milliseconds(500), milliseconds(5000));
  const Duration span =
      milliseconds(50) + milliseconds(30) * std::min<std::uint64_t>(scenario.program.steps, 40);
  const std::uint64_t strikes = random.below(4);
  Duration last = scenario.heal_after;
  for (std::uint64_t i = 0; i < strikes; ++i) {
    scenario.strikes.push_back(draw_strike(random, job, span));
    last = std::max(last, scenario.strikes.back().after + scenario.strikes.back().lasts);
  }
  scenario.limit = last + std::chrono::seconds(40) + milliseconds(100) * scenario.program.steps;
  return scenario;
}

std::string describe(const Scenario& scenario) {
  std::ostringstream text;
  const Program& program = scenario.program;
  text << scenario.job.workers << " workers, " << scenario.job.shards << " shards, "
       << mode_name(program.options.mode) << ", " << program.steps << " steps, "
       << program.parameters.size() << " parameters"
       << (has_backup(program) ? ", a backup worker" : "")
       << (is_softsync(program) ? ", several pushes an update" : "")
       << (program.options.finite == Finite::kStep ? ", whole steps finite" : "")
       << (program.options.clip_norm > 0 ? ", clipped" : "") << ", chunks of "
       << program.options.chunk_bytes << ", staging " << scenario.job.staging_bytes << ", credit "
       << scenario.job.credit_bytes << ", barrier every " << program.barrier_every << ", leases of "
       << program.lease_block << "; drop " << scenario.faults.drop << ", duplicate "
       << scenario.faults.duplicate << ", reorder " << scenario.faults.reorder << ", flip "
       << scenario.faults.flip << ", reset " << scenario.faults.reset << ", delay "
       << seconds(scenario.faults.delay_max) << " s; healed after " << seconds(scenario.heal_after)
       << " s";
  constexpr const char* kNames[] = {"crash", "freeze", "rival", "partition", "one way", "reset"};
  for (const Strike& strike : scenario.strikes) {
    text << "; " << kNames[static_cast<std::size_t>(strike.kind)] << " at " << seconds(strike.after)
         << " s for " << seconds(strike.lasts) << " s, rank " << strike.rank << ", nodes "
         << strike.a << ' ' << strike.b;
  }
  return text.str();
}

Result run_scenario(const Scenario& scenario) {
  return Run(scenario)();
}

}  // namespace ps::sim
