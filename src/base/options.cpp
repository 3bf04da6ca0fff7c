#include <ps/options.h>

namespace ps {
namespace {

struct ModeName {
  const char* operator()(const Sync& /*mode*/) const noexcept { return "sync"; }
  const char* operator()(const Async& /*mode*/) const noexcept { return "async"; }
  const char* operator()(const Ssp& /*mode*/) const noexcept { return "ssp"; }
};

struct OptimizerName {
  const char* operator()(const Sgd& /*optimizer*/) const noexcept { return "sgd"; }
  const char* operator()(const Adam& /*optimizer*/) const noexcept { return "adam"; }
  const char* operator()(const AdamW& /*optimizer*/) const noexcept { return "adamw"; }
};

}  // namespace

const char* mode_name(const Consistency& mode) noexcept {
  return std::visit(ModeName{}, mode);
}

const char* optimizer_name(const Optimizer& optimizer) noexcept {
  return std::visit(OptimizerName{}, optimizer);
}

}  // namespace ps
