#include <ps/options.h>

namespace ps {
namespace {

struct ModeName {
  const char* operator()(const Sync& /*mode*/) const noexcept { return "sync"; }
  const char* operator()(const Async& /*mode*/) const noexcept { return "async"; }
  const char* operator()(const Ssp& /*mode*/) const noexcept { return "ssp"; }
  const char* operator()(const LocalSgd& /*mode*/) const noexcept { return "local"; }
  const char* operator()(const Easgd& /*mode*/) const noexcept { return "easgd"; }
};

struct OptimizerName {
  const char* operator()(const Sgd& /*optimizer*/) const noexcept { return "sgd"; }
  const char* operator()(const Adam& /*optimizer*/) const noexcept { return "adam"; }
  const char* operator()(const AdamW& /*optimizer*/) const noexcept { return "adamw"; }
  const char* operator()(const Adagrad& /*optimizer*/) const noexcept { return "adagrad"; }
  const char* operator()(const RmsProp& /*optimizer*/) const noexcept { return "rmsprop"; }
  const char* operator()(const Lars& /*optimizer*/) const noexcept { return "lars"; }
  const char* operator()(const Lamb& /*optimizer*/) const noexcept { return "lamb"; }
  const char* operator()(const Ftrl& /*optimizer*/) const noexcept { return "ftrl"; }
  const char* operator()(const CustomRule& /*optimizer*/) const noexcept { return "custom"; }
};

}  // namespace

const char* mode_name(const Consistency& mode) noexcept {
  return std::visit(ModeName{}, mode);
}

float momentum_for(const Consistency& mode, std::uint32_t workers, float momentum) noexcept {
  const bool late = std::holds_alternative<Async>(mode) || std::holds_alternative<Ssp>(mode);
  return late && workers >= 4 ? 0.0F : momentum;
}

const char* optimizer_name(const Optimizer& optimizer) noexcept {
  return std::visit(OptimizerName{}, optimizer);
}

}  // namespace ps
