#include "arms.h"

#include <algorithm>
#include <array>

#include <ps/error.h>

namespace psbench {

const std::vector<Arm>& all_arms() {
  static const std::vector<Arm> arms{
      {.key = "one", .name = "1 process", .mode = ps::Sync{}, .alone = true},
      {.key = "one-large",
       .name = "1 process, N m",
       .mode = ps::Sync{},
       .alone = true,
       .large_batch = true},
      {.key = "bsp", .name = "BSP", .mode = ps::Sync{}},
      {.key = "backup", .name = "BSP + 1 backup", .mode = ps::Sync{.backup_workers = 1}},
      {.key = "ssp", .name = "SSP 2", .mode = ps::Ssp{.staleness = 2}},
      {.key = "asp", .name = "ASP", .mode = ps::Async{}},
      {.key = "asp-lr", .name = "ASP + staleness lr", .mode = ps::Async{.staleness_aware = true}},
      {.key = "dc",
       .name = "DC-ASGD",
       .mode = ps::Async{.compensation = ps::Compensation::kConstant}},
      {.key = "local", .name = "local SGD 8", .mode = ps::LocalSgd{.steps = 8}},
      {.key = "easgd", .name = "EASGD 4", .mode = ps::Easgd{.period = 4}},
      {.key = "allreduce",
       .name = "all-reduce",
       .mode = ps::Sync{},
       .update = ps::Update::kAllReduce}};
  return arms;
}

const Arm& arm_of(const std::string& key) {
  const auto& arms = all_arms();
  const auto found = std::ranges::find(arms, key, &Arm::key);
  if (found != arms.end()) return *found;
  std::string keys;
  for (const Arm& arm : arms) keys += (keys.empty() ? "" : ", ") + arm.key;
  throw ps::Error(ps::ErrorCode::kInvalidArgument,
                  "there is no arm " + key + "; expected some of " + keys);
}

std::vector<Trial> trials(std::uint32_t count) {
  constexpr std::array<Trial, 12> kGrid{{{0.1F, 0.0F},
                                         {0.05F, 0.9F},
                                         {0.4F, 0.0F},
                                         {0.02F, 0.9F},
                                         {0.2F, 0.0F},
                                         {0.1F, 0.9F},
                                         {0.05F, 0.0F},
                                         {0.01F, 0.9F},
                                         {0.8F, 0.0F},
                                         {0.2F, 0.9F},
                                         {0.02F, 0.0F},
                                         {0.005F, 0.9F}}};
  return {kGrid.begin(), kGrid.begin() + std::min<std::size_t>(count, kGrid.size())};
}

}  // namespace psbench
