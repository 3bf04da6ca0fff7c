#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace ps {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

}  // namespace

struct Log::Sink {
  explicit Sink(const std::string& name)
      : logger(name, std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger.set_pattern("%H:%M:%S.%e %l %n: %v");
    logger.flush_on(spdlog::level::debug);
  }
  spdlog::logger logger;
};

Log::Log() = default;

Log::Log(const std::string& name, LogLevel level) : sink_(std::make_shared<Sink>(name)) {
  sink_->logger.set_level(to_spdlog(level));
}

void Log::write(LogLevel level, std::string_view text) const {
  if (sink_) sink_->logger.log(to_spdlog(level), text);
}

}  // namespace ps
