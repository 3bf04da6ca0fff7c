// Log lines on standard error, each with the time and the node's name. A Log is a value that a node
// is given; there is no global one. Levels: debug, info, warn, error.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace ps {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };

class Log {
 public:
  Log();  // silent
  // `name` stands in every line ("worker 1"); `level` is the least that is written.
  Log(const std::string& name, LogLevel level);

  void debug(std::string_view text) const { write(LogLevel::kDebug, text); }
  void info(std::string_view text) const { write(LogLevel::kInfo, text); }
  void warn(std::string_view text) const { write(LogLevel::kWarn, text); }
  void error(std::string_view text) const { write(LogLevel::kError, text); }

 private:
  void write(LogLevel level, std::string_view text) const;

  struct Sink;
  std::shared_ptr<Sink> sink_;
};

}  // namespace ps
