// The scheduler's side of what shards must agree on in a round of one sync model
// (server/agreement.h is the other): merges their parts and answers all of them with the same.
// Pure.
//
// Invariants
// 1. What has been decided for (round, phase) is never decided otherwise.
// 2. Sums are added in the order of parameters and offsets, whichever shard was first.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/placement.h"
#include "wire/control.h"

namespace ps::cluster {

class Rounds {
 public:
  // REQUIRES: placement has a shard for each chunk of the model's table.
  Rounds(const wire::ModelInfo& model, std::uint32_t workers);

  struct Outcome {
    std::optional<wire::RoundResult> result;
    bool news = false;  // for all shards; else a repetition for the one that asked
    std::string error;  // the part makes no sense
  };
  Outcome take(std::uint32_t shard, const wire::RoundPart& part);

  // The shards that hold chunks of the model.
  [[nodiscard]] const std::vector<std::uint32_t>& shards() const { return shards_; }

 private:
  using Key = std::pair<std::uint64_t, wire::RoundPart::Phase>;
  struct Gathered {
    std::vector<double> sums;  // two for each chunk
    std::vector<bool> heard;   // by position in shards_
    bool finite = true;
  };
  [[nodiscard]] std::string fault(std::uint32_t shard, const wire::RoundPart& part) const;
  wire::RoundResult decide_ticket(const wire::RoundPart& part);
  std::optional<wire::RoundResult> gather(std::uint32_t shard, const wire::RoundPart& part);
  void count(const std::vector<wire::Consumed>& consumed);

  std::vector<Chunk> chunks_;
  std::vector<std::uint32_t> placement_;
  std::vector<std::uint32_t> shards_;
  std::size_t parameters_;
  std::uint32_t workers_;
  std::uint32_t quorum_;                      // fewer where workers have retired
  std::map<Key, wire::RoundResult> decided_;  // of the last rounds
  std::map<Key, Gathered> gathered_;
  std::vector<std::uint64_t> counted_;                       // by rank: rounds below it are
  std::map<std::uint64_t, std::uint64_t> samples_of_round_;  // not in samples_ yet
  std::uint64_t samples_ = 0;
};

}  // namespace ps::cluster
