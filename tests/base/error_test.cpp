// ps::Error carries its code and its text, and every code has a name.
#include <array>
#include <set>
#include <string>

#include <ps/error.h>

#include "support/catch.h"

using ps::ErrorCode;

TEST_CASE("error: is a runtime_error with a code", "[unit]") {
  try {
    throw ps::Error(ErrorCode::kMismatch, "expected 3 dimensions, worker 1 sent 2");
  } catch (const std::runtime_error& error) {
    CHECK(std::string(error.what()) == "expected 3 dimensions, worker 1 sent 2");
    const auto* typed = dynamic_cast<const ps::Error*>(&error);
    REQUIRE(typed != nullptr);
    CHECK(typed->code() == ErrorCode::kMismatch);
  }
}

TEST_CASE("error: every code has a name of its own", "[unit]") {
  const std::array codes{ErrorCode::kInvalidArgument, ErrorCode::kMismatch, ErrorCode::kTimeout,
                         ErrorCode::kUnavailable,     ErrorCode::kAborted,  ErrorCode::kIo,
                         ErrorCode::kCorrupt,         ErrorCode::kInternal};
  std::set<std::string> names{to_string(static_cast<ErrorCode>(99))};
  for (const ErrorCode code : codes) names.insert(to_string(code));
  CHECK(names.size() == codes.size() + 1);
}
