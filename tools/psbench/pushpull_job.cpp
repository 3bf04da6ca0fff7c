#include "pushpull_job.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>
#include <xxhash.h>

#include <ps/error.h>

#include "cluster/placement.h"
#include "timing.h"
#include "worker/plan.h"

namespace psbench {
namespace {

constexpr float kRate = 1e-3F;
constexpr std::uint64_t kWarmUpSteps = 3;
constexpr double kTurns = 10.0;  // at least so many, as far as they are not longer than a step
// Values repeat after a prime, so that no two chunks are alike.
constexpr std::size_t kPeriod = 4093;

float first_weight(std::size_t i) {
  return static_cast<float>(i * 5 % kPeriod) / 4096.0F;
}

float gradient(std::size_t i, std::uint32_t rank) {
  return static_cast<float>((i + 7 * rank) % kPeriod) / 4096.0F - 0.5F;
}

// The hash of `size` weights after so many steps of plain SGD on the workers' mean.
std::uint64_t expected_hash(std::size_t size, std::uint64_t steps, std::uint32_t workers) {
  std::array<float, kPeriod> weights{};
  std::array<float, kPeriod> moves{};
  for (std::size_t i = 0; i < kPeriod; ++i) {
    weights[i] = first_weight(i);
    float sum = gradient(i, 0);
    for (std::uint32_t rank = 1; rank < workers; ++rank) sum += gradient(i, rank);
    moves[i] = kRate * (sum / static_cast<float>(workers));
  }
  for (std::uint64_t step = 0; step < steps; ++step) {
    for (std::size_t i = 0; i < kPeriod; ++i) weights[i] -= moves[i];
  }
  const std::unique_ptr<XXH64_state_t, XXH_errorcode (*)(XXH64_state_t*)> state(XXH64_createState(),
                                                                                XXH64_freeState);
  XXH64_reset(state.get(), 0);
  for (std::size_t i = 0; i < size; i += kPeriod) {
    XXH64_update(state.get(), weights.data(), sizeof(float) * std::min(kPeriod, size - i));
  }
  return XXH64_digest(state.get());
}

class Steps {
 public:
  Steps(ps::Session& session, std::size_t bytes, ps::Update update)
      : session_(session),
        size_(bytes / sizeof(float)),
        update_(update),
        model_(session.model(
            update == ps::Update::kServer ? "pushpull" : "all-reduce",
            {.mode = ps::Sync{}, .optimizer = ps::Sgd{.lr = kRate}, .update = update})) {
    const ps::Parameter parameter =
        model_.add("weights", {static_cast<std::int64_t>(size_)}, [](std::span<float> weights) {
          for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = first_weight(i);
        });
    model_.start();
    const auto gradients = parameter.gradients();
    for (std::size_t i = 0; i < size_; ++i) gradients[i] = gradient(i, session.rank());
  }

  // All workers make as many steps as rank 0 wishes; false: it wishes none.
  bool turn(std::uint64_t wished) {
    const std::array mine{session_.rank() == 0 ? static_cast<double>(wished) : 0.0};
    const auto steps = static_cast<std::uint64_t>(session_.reduce(mine).front());
    for (std::uint64_t i = 0; i < steps; ++i) {
      const double start = now();
      model_.push_pull(1.0).wait();
      samples.seconds.push_back(now() - start);
    }
    count += steps;
    return steps > 0;
  }
  // Returns the weights' hash.
  std::uint64_t check() const {
    const std::uint64_t found = model_.hash();
    // A ring of more than two adds every part of the array in another order.
    if (update_ == ps::Update::kAllReduce && session_.workers() > 2) return found;
    const std::uint64_t expected = expected_hash(size_, count, session_.workers());
    if (found == expected) return found;
    std::array<char, 160> text{};
    std::snprintf(
        text.data(), text.size(),
        "after %llu steps the weights' hash is %016llx, but those of as many steps of SGD "
        "have %016llx",
        static_cast<unsigned long long>(count), static_cast<unsigned long long>(found),
        static_cast<unsigned long long>(expected));
    throw ps::Error(ps::ErrorCode::kInternal, text.data());
  }

  Samples samples;
  std::uint64_t count = 0;

 private:
  ps::Session& session_;
  std::size_t size_;
  ps::Update update_;
  ps::Model model_;
};

nlohmann::json summary(const Samples& samples, double bytes) {
  return {{"gb_per_s", samples.seconds.empty() ? 0.0 : 1e-9 * bytes / samples.median()},
          {"spread", samples.spread()},
          {"p50_us", 1e6 * samples.quantile(0.5)},
          {"p90_us", 1e6 * samples.quantile(0.9)},
          {"p99_us", 1e6 * samples.quantile(0.99)},
          {"samples", samples.seconds.size()}};
}

// Rank 0's turns: steps, as many of the ring's if there is one, then each raw way for half as long.
nlohmann::json measure(Steps& steps, Steps* ring, const PushPullOptions& o, RawPeers& raw) {
  const double parts = static_cast<double>(raw.names().size()) + (ring == nullptr ? 2.0 : 4.0);
  const double slice = o.size.seconds / (kTurns * parts);
  std::vector<Samples> others(raw.names().size());
  const auto raw_turn = [&](double seconds) {
    for (std::size_t i = 0; i < others.size(); ++i) {
      const auto times = raw.run(i, seconds);
      others[i].seconds.insert(others[i].seconds.end(), times.begin(), times.end());
    }
  };
  steps.turn(kWarmUpSteps);
  if (ring != nullptr) ring->turn(kWarmUpSteps);
  const auto wished = [&] {
    return static_cast<std::uint64_t>(std::max(1.0, 2.0 * slice / steps.samples.median()));
  };
  std::uint64_t next = wished();
  steps.samples.seconds.clear();
  if (ring != nullptr) ring->samples.seconds.clear();
  const double end = now() + o.size.seconds;
  do {
    steps.turn(next);
    if (ring != nullptr) ring->turn(next);
    raw_turn(slice);
    next = wished();
  } while (now() < end);
  steps.turn(0);
  if (ring != nullptr) ring->turn(0);

  const auto bytes = static_cast<double>(o.size.bytes);
  nlohmann::json result{{"step", summary(steps.samples, 2.0 * bytes * o.workers)}};
  if (ring != nullptr) result["all_reduce"] = summary(ring->samples, 2.0 * bytes * o.workers);
  for (std::size_t i = 0; i < others.size(); ++i) {
    const std::string& name = raw.names()[i];
    result["raw"][name] = summary(others[i], (name == "memcpy" ? 1.0 : 2.0) * bytes);
  }
  return result;
}

}  // namespace

RawSizes raw_sizes(const PushPullOptions& options, std::size_t configured_chunk) {
  const std::size_t bytes = options.size.bytes / sizeof(float) * sizeof(float);
  const std::array parameters{
      ps::wire::ParameterInfo{.shape = {static_cast<std::int64_t>(bytes / sizeof(float))}}};
  const std::size_t bucket =
      ps::worker::bucket_bytes(ps::cluster::chunk_bytes(parameters, configured_chunk));
  return {.bytes = bytes, .frame = std::min(bytes, bucket)};
}

nlohmann::json pushpull_worker(ps::Session& session,
                               const PushPullOptions& options,
                               RawPeers* raw) {
  Steps steps(session, options.size.bytes, ps::Update::kServer);
  std::optional<Steps> ring;
  if (options.all_reduce) ring.emplace(session, options.size.bytes, ps::Update::kAllReduce);
  nlohmann::json result;
  if (raw != nullptr) {
    result = measure(steps, ring ? &*ring : nullptr, options, *raw);
  } else {
    while (steps.turn(0) && (!ring || ring->turn(0))) {
    }
    if (ring) ring->turn(0);
  }
  if (ring) ring->check();
  std::array<char, 17> hash{};
  std::snprintf(hash.data(), hash.size(), "%016llx",
                static_cast<unsigned long long>(steps.check()));
  if (raw != nullptr) {
    result["steps"] = steps.count;
    result["hash"] = hash.data();
  }
  session.finish();
  return result;
}

}  // namespace psbench
