// What must hold of a simulated job, told from outside: from what its users saw and from the
// updates that the shards announce. Shares no arithmetic with the code it judges.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "server/shard.h"
#include "support/simulator.h"

namespace ps::sim {

// The gradient of (rank, step) in sync mode: no two alike, none that sums exactly.
float sync_gradient(std::uint32_t rank,
                    std::uint64_t step,
                    std::uint32_t parameter,
                    std::uint64_t element);
float initial_weight(std::uint32_t parameter, std::uint64_t element);
// Where a life's step leaves its mark in async and ssp mode.
std::uint64_t mark_of(const Life& life, std::uint64_t step, const Program& program);

// Watches updates as they happen.
class UpdateWatch final : public server::UpdateObserver {
 public:
  UpdateWatch(const Program& program, std::uint32_t workers)
      : program_(program), workers_(workers) {}
  void on_update(const Update& update) override;
  [[nodiscard]] const std::string& wrong() const { return wrong_; }
  [[nodiscard]] std::uint32_t workers() const { return workers_; }
  [[nodiscard]] std::uint64_t updates() const { return updates_; }
  // Backup workers: did the rank's gradient of the round count?
  [[nodiscard]] bool contributed(std::uint32_t rank, std::uint64_t round) const;

 private:
  void judge(const Update& update, const std::string& where);

  const Program& program_;
  std::uint32_t workers_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t> versions_;  // by chunk
  std::map<std::uint64_t, std::vector<std::uint32_t>> tickets_;  // contributors by round
  std::uint64_t updates_ = 0;
  std::string wrong_;
};

// Nobody starts a step before all others have completed all but `staleness` of the steps before
// it: to be asked when `life` starts `step`. Empty, or what is wrong.
std::string check_gap(const Simulator& job,
                      const Life& life,
                      std::uint64_t step,
                      std::uint64_t staleness);

// Sync: `weights`, by parameter, are to the bit what a single process computes in all of the steps.
std::string check_bits(const std::vector<std::vector<float>>& weights,
                       const Program& program,
                       const UpdateWatch& watch);

// After the job: every operation ended, everybody left in order and holds the same weights, and
// these are the right ones: in sync to the bit, else every step that ended counted exactly once and
// none twice. Every leased sample was read once.
std::string check_end(const Simulator& job, const Program& program, const UpdateWatch& watch);

}  // namespace ps::sim
