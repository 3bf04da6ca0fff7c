#include "optim/modes.h"

#include <string>
#include <variant>

#include <ps/error.h>

namespace ps::optim {
namespace {

void require(bool holds, const std::string& text) {
  if (!holds) throw Error(ErrorCode::kInvalidArgument, text);
}

const char* update_name(Update update) {
  switch (update) {
    case Update::kServer:
      break;
    case Update::kWorker:
      return "worker";
    case Update::kAllReduce:
      return "allreduce";
  }
  return "server";
}

void check_update_on_workers(const ModelOptions& options) {
  const std::string update = std::string("update = ") + update_name(options.update);
  const auto* sync = std::get_if<Sync>(&options.mode);
  require(sync != nullptr,
          update + " needs consistency.mode = sync, which keeps the workers' weights equal, got " +
              mode_name(options.mode));
  require(sync->backup_workers == 0,
          update +
              " needs every worker's gradient in every round, so backup_workers must be 0, got " +
              std::to_string(sync->backup_workers));
  require(options.reduce == Reduce::kMean, update + " needs reduce = mean, got sum");
  require(options.ema.decay == 0.0F,
          update + " leaves no weights on the servers to average: ema.decay must be 0, got " +
              std::to_string(options.ema.decay));
}

void check_compression(const ModelOptions& options) {
  const Compression& compression = options.compression;
  require(compression.top > 0 && compression.top <= 1,
          "compression.top must be above 0 and at most 1, got " + std::to_string(compression.top));
  const bool compresses =
      compression.push != Compression::Push::kNone || compression.pull != Compression::Pull::kNone;
  if (!compresses || !updates_on_workers(options)) return;
  throw Error(ErrorCode::kInvalidArgument,
              std::string("compression needs gradients that travel to servers which apply them, "
                          "but in mode ") +
                  mode_name(options.mode) + " with update = " + update_name(options.update) +
                  " the workers do: take mode sync, async or ssp and update = server, or no "
                  "compression");
}

}  // namespace

bool has_rounds(const Consistency& mode) noexcept {
  return std::holds_alternative<Sync>(mode) || std::holds_alternative<LocalSgd>(mode);
}

bool updates_on_workers(const ModelOptions& options) noexcept {
  return options.update != Update::kServer || std::holds_alternative<LocalSgd>(options.mode) ||
         std::holds_alternative<Easgd>(options.mode);
}

ParameterKind kind_on_servers(const ModelOptions& options, ParameterKind kind) noexcept {
  if (std::holds_alternative<Easgd>(options.mode)) return ParameterKind::kAdd;
  const bool trained = kind == ParameterKind::kTrained;
  return trained && updates_on_workers(options) ? ParameterKind::kAverage : kind;
}

float elastic_rate(const Easgd& mode, std::uint32_t workers) noexcept {
  return mode.alpha > 0 ? mode.alpha : 0.9F / static_cast<float>(workers);
}

void check_mode(const ModelOptions& options, std::uint32_t workers) {
  if (const auto* sync = std::get_if<Sync>(&options.mode)) {
    require(sync->backup_workers < workers,
            "sync: backup_workers must be below the number of workers, " + std::to_string(workers) +
                ", got " + std::to_string(sync->backup_workers));
  }
  if (const auto* async = std::get_if<Async>(&options.mode)) {
    require(async->pushes_per_update > 0, "async: pushes_per_update must be at least 1, got 0");
    require(async->lambda >= 0 && async->decay >= 0 && async->decay < 1,
            "async: lambda must be at least 0 and decay in [0, 1), got " +
                std::to_string(async->lambda) + " and " + std::to_string(async->decay));
  }
  require(options.clip_norm >= 0,
          "clip_norm must be at least 0, got " + std::to_string(options.clip_norm));
  require(options.finite == Finite::kMessage || has_rounds(options.mode),
          std::string("finite = step needs rounds, which mode ") + mode_name(options.mode) +
              " has not");
  if (options.update != Update::kServer) check_update_on_workers(options);
  check_compression(options);
  if (const auto* local = std::get_if<LocalSgd>(&options.mode))
    require(local->steps > 0, "local: steps must be at least 1, got 0");
  if (const auto* easgd = std::get_if<Easgd>(&options.mode)) {
    require(easgd->period > 0, "easgd: period must be at least 1, got 0");
    require(easgd->alpha >= 0 && easgd->alpha <= 1,
            "easgd: alpha must lie in [0, 1], got " + std::to_string(easgd->alpha));
  }
}

}  // namespace ps::optim
