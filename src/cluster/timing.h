// The deadlines of a job. Two profiles are tested: the default one, which a starved machine does
// not trip, and a fast one for dedicated cores in one rack (reliability rules:
// docs/architecture.md).
#pragma once

#include "base/clock.h"

namespace ps::cluster {

struct Timing {
  Duration heartbeat = std::chrono::milliseconds(500);
  Duration suspect = std::chrono::seconds(2);  // silent for so long: renew the connection
  Duration lease = std::chrono::seconds(3);    // silent for so long: dead
  Duration retry = std::chrono::seconds(
      1);  // an unanswered request is asked after, then twice as late each time
  Duration retry_cap = std::chrono::seconds(8);
  Duration deadline =
      std::chrono::seconds(30);  // neither an answer nor a sign of work for so long: failed
  Duration gather = std::chrono::seconds(60);  // for all members to join
};

}  // namespace ps::cluster
