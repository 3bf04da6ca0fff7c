// How ps::nn answers misuse.
#pragma once

#include <string>

#include <ps/error.h>

namespace ps::nn {

// Throws kInvalidArgument "<who>: <text>".
[[noreturn]] inline void fail(const std::string& who, const std::string& text) {
  throw Error(ErrorCode::kInvalidArgument, who + ": " + text);
}

// While a graph is built; a step asks first and makes its text only to fail, as it must not
// allocate.
inline void require(bool holds, const std::string& who, const std::string& text) {
  if (!holds) fail(who, text);
}

}  // namespace ps::nn
