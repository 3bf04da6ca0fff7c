// Known bugs that tests of the simulator switch on, to prove that it finds them. Compiled to
// `false` unless PS_PLANTED_BUGS is defined, so no shipped binary holds the switch.
#pragma once

namespace ps {

enum class PlantedBug {
  kNone,
  kIncarnationIgnored,   // a restarted worker's pushes look like duplicates of its last life's
  kAckBeforeApply,       // a push is answered before it has been applied
  kNoDedupe,             // a repeated push is applied again
  kCountNotSet,          // a round counts messages, not who sent them
  kArrivalOrder,         // contributions fold in the order of arrival
  kDeadWorkerInMinimum,  // a dead worker still holds back the minimum clock
  kStaleGeneration,      // messages of a dead incarnation are accepted
  kClockSkipsGap,        // a step's end is taken although one of its pushes is missing
  kGateOffByOne,         // the gate opens one clock too early
  kTornPull,             // a pull is answered from another version than it says
  kReplyForgotten,       // a repeated request whose reply was lost gets no answer
  kSequenceWraps,        // sequence numbers are kept in eight bits
  kOwnTicket,            // each shard's round takes the workers that were first there
  kJudgesAlone,          // each shard clips, and asks for finite values, without the others
};

#ifdef PS_PLANTED_BUGS
// Which bug is on; set by tests only, before any node runs.
inline PlantedBug planted_bug = PlantedBug::kNone;  // NOLINT: the test-only switch itself
inline bool planted(PlantedBug bug) noexcept {
  return planted_bug == bug;
}
#else
constexpr bool planted(PlantedBug /*bug*/) noexcept {
  return false;
}
#endif

}  // namespace ps
