#include "cluster/rounds.h"

#include <algorithm>
#include <functional>
#include <variant>

#include "base/planted.h"

namespace ps::cluster {

using Phase = wire::RoundPart::Phase;
namespace {

// A bug: the shard hears what it has said itself.
bool is_left_alone(Phase phase) {
  return planted(phase == Phase::kTicket ? PlantedBug::kOwnTicket : PlantedBug::kJudgesAlone);
}

}  // namespace

Rounds::Rounds(const wire::ModelInfo& model, std::uint32_t workers)
    : chunks_(chunks_of(model.parameters, model.options.chunk_bytes)),
      placement_(model.placement),
      shards_(model.placement),
      parameters_(model.parameters.size()),
      workers_(workers),
      quorum_(workers),
      counted_(workers, 0) {
  if (const auto* sync = std::get_if<Sync>(&model.options.mode)) quorum_ -= sync->backup_workers;
  std::ranges::sort(shards_);
  shards_.erase(std::ranges::unique(shards_).begin(), shards_.end());
}

Rounds::Outcome Rounds::take(std::uint32_t shard, const wire::RoundPart& part) {
  if (std::string why = fault(shard, part); !why.empty()) return {{}, false, std::move(why)};
  count(part.consumed);
  const bool alone = is_left_alone(part.phase);
  if (const auto known = decided_.find({part.round, part.phase}); known != decided_.end() && !alone)
    return {known->second, false, {}};
  std::optional<wire::RoundResult> result =
      part.phase == Phase::kTicket ? decide_ticket(part) : gather(shard, part);
  if (!result) return {};
  result->model = part.model;
  result->round = part.round;
  result->phase = part.phase;
  decided_.emplace(Key{part.round, part.phase}, *result);
  gathered_.erase({part.round, part.phase});
  // A shard is at most one round behind another: a round begins with every shard's answer.
  std::erase_if(decided_, [&](const auto& entry) { return entry.first.first + 2 < part.round; });
  return {std::move(result), !alone, {}};
}

std::string Rounds::fault(std::uint32_t shard, const wire::RoundPart& part) const {
  if (!std::ranges::binary_search(shards_, shard)) return "it has no chunk of the model";
  if (part.sums.size() != 2 * part.chunks.size()) return "it needs two sums for every chunk";
  for (const std::uint32_t chunk : part.chunks) {
    if (chunk >= placement_.size() || placement_[chunk] != shard)
      return "chunk " + std::to_string(chunk) + " is not on this shard";
  }
  for (const wire::Consumed& one : part.consumed) {
    if (one.rank >= workers_) return "worker " + std::to_string(one.rank) + " does not exist";
  }
  if (part.phase != Phase::kTicket) return {};
  const bool sorted =
      std::ranges::adjacent_find(part.ranks, std::greater_equal()) == part.ranks.end();
  const bool counts = !part.ranks.empty() && part.ranks.size() <= quorum_;
  if (!counts || !sorted || part.ranks.back() >= workers_)
    return "a ticket names up to " + std::to_string(quorum_) + " different workers in order";
  return {};
}

// Each step is told by every shard; it counts once.
void Rounds::count(const std::vector<wire::Consumed>& consumed) {
  for (const wire::Consumed& one : consumed) {
    if (one.round < counted_[one.rank]) continue;
    counted_[one.rank] = one.round + 1;
    samples_of_round_[one.round] += one.samples;
  }
}

// The first shard to have enough of them decides. What dropped steps have consumed counts too, as
// soon as it is known.
wire::RoundResult Rounds::decide_ticket(const wire::RoundPart& part) {
  const auto now = samples_of_round_.lower_bound(part.round);
  for (auto it = samples_of_round_.begin(); it != now; ++it) samples_ += it->second;
  samples_of_round_.erase(samples_of_round_.begin(), now);
  wire::RoundResult result;
  result.ranks = part.ranks;
  result.samples = samples_;
  return result;
}

std::optional<wire::RoundResult> Rounds::gather(std::uint32_t shard, const wire::RoundPart& part) {
  Gathered& all = gathered_[{part.round, part.phase}];
  all.sums.resize(2 * chunks_.size());
  all.heard.resize(shards_.size());
  all.finite = all.finite && part.finite;
  all.heard[static_cast<std::size_t>(std::ranges::lower_bound(shards_, shard) - shards_.begin())] =
      true;
  for (std::size_t i = 0; i < part.chunks.size(); ++i) {
    all.sums[2 * part.chunks[i]] = part.sums[2 * i];
    all.sums[2 * part.chunks[i] + 1] = part.sums[2 * i + 1];
  }
  if (!std::ranges::all_of(all.heard, std::identity()) && !is_left_alone(part.phase))
    return std::nullopt;
  wire::RoundResult result;
  result.finite = all.finite;
  result.sums.resize(2 * parameters_);
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    result.sums[2 * chunks_[i].parameter] += all.sums[2 * i];
    result.sums[2 * chunks_[i].parameter + 1] += all.sums[2 * i + 1];
  }
  return result;
}

}  // namespace ps::cluster
