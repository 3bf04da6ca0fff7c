// Recordings of a pass's segments, where the work cannot be recorded.
#include "nn/recordings.h"

#include <ps/error.h>

#include "kernels/emulated.h"
#include "support/catch.h"

namespace ps::nn {

TEST_CASE("recordings: what cannot be recorded is enqueued all the same, and why is told",
          "[unit][cuda]") {
  const kernels::Emulated emulated;
  const kernels::Stream stream(0);
  Recordings recordings;
  int done = 0;
  const auto waits = [&] {  // which a recording must not
    stream.view().synchronize();
    ++done;
  };
  CHECK(recordings.run(0, stream, waits).empty());
  for (int pass = 2; pass < 4; ++pass) {
    CHECK_THAT(recordings.run(0, stream, waits), Catch::Matchers::Contains("cudaStreamQuery"));
    CHECK(done == pass);
  }
  const auto fails = [] { throw Error(ErrorCode::kInternal, "its own fault"); };
  CHECK_THROWS_WITH(recordings.run(0, stream, fails), "its own fault");
}

}  // namespace ps::nn
