#include "optim/custom_rules.h"

#include <map>
#include <mutex>
#include <utility>

#include <ps/error.h>

namespace ps {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<const UpdateRule>> rules;  // guarded by mutex
};

// A job's options travel between processes and can name code, but not carry it: hence one table per
// process.
Registry& registry() {
  static Registry table;
  return table;
}

}  // namespace

void register_update_rule(const std::string& name, std::shared_ptr<const UpdateRule> rule) {
  if (name.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "an update rule needs a name, got an empty one");
  }
  if (rule == nullptr) {
    throw Error(ErrorCode::kInvalidArgument, "update rule '" + name + "' is null");
  }
  Registry& table = registry();
  const std::lock_guard lock(table.mutex);
  if (!table.rules.emplace(name, std::move(rule)).second) {
    throw Error(ErrorCode::kInvalidArgument,
                "update rule '" + name + "' is registered already; names are for good");
  }
}

std::shared_ptr<const UpdateRule> optim::find_update_rule(const std::string& name) {
  Registry& table = registry();
  const std::lock_guard lock(table.mutex);
  if (const auto found = table.rules.find(name); found != table.rules.end()) return found->second;
  std::string known;
  for (const auto& [other, rule] : table.rules) known += (known.empty() ? "" : ", ") + other;
  throw Error(ErrorCode::kInvalidArgument,
              "optimizer.name must be a registered update rule (" +
                  (known.empty() ? "there is none" : known) + "), got '" + name +
                  "'; call ps::register_update_rule in main() of every process");
}

}  // namespace ps
