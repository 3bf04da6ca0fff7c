// The one exception type of ps. Errors say what was expected, what came, from whom, and what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace ps {

enum class ErrorCode {
  kInvalidArgument,  // the caller's mistake or a bad configuration: nothing was sent, nothing
                     // changed
  kMismatch,     // two members of the job disagree (tensor table, configuration, protocol version)
  kTimeout,      // a deadline passed
  kUnavailable,  // a peer, a port or a device is not there (any more)
  kAborted,      // the job is stopping: the text says why
  kIo,           // a file could not be read or written
  kCorrupt,      // a file's contents are not what its format demands
  kInternal,     // a bug of ps
};

// The code's name in lower case, e.g. "invalid argument".
const char* to_string(ErrorCode code) noexcept;

// Thrown for misuse at once, and by Pending::wait() and its like for what went wrong later.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& text) : std::runtime_error(text), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace ps
