// What passes of one kind have in common, recorded on a GPU once to be launched as a whole.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ps/error.h>

#include "kernels/device.h"
#include "kernels/recording.h"

namespace ps::nn {

using Enqueue = std::function<void()>;

// Of the segments of one kind of pass. Enqueues a segment's work itself the first time, so that
// libraries are set up, records it the second time, and launches that from then on.
class Recordings {
 public:
  // Why the work could not be recorded, if it could not: it is enqueued all the same.
  std::string run(std::size_t segment, const kernels::StreamView& stream, const Enqueue& enqueue) {
    if (segment >= segments_.size()) segments_.resize(segment + 1);
    Entry& entry = segments_[segment];
    if (!entry.seen) {
      entry.seen = true;
      enqueue();
      return {};
    }
    if (!entry.recording) {
      try {
        entry.recording = kernels::Recording::of(stream, enqueue);
      } catch (const Error& error) {
        enqueue();  // which throws itself what is not the recording's fault
        return error.what();
      }
    }
    entry.recording.launch(stream);
    return {};
  }

 private:
  struct Entry {
    bool seen = false;
    kernels::Recording recording;
  };
  std::vector<Entry> segments_;
};

// All that a recorded pass has in it as numbers.
struct PassKind {
  std::int64_t batch = 0;
  bool training = false;
  std::array<float, 3> factors{};

  friend bool operator==(const PassKind&, const PassKind&) = default;
};

// The recordings of the kinds of passes that came last.
class RecordingSets {
 public:
  // Valid until the next call.
  Recordings& of(const PassKind& kind) {
    for (Set& set : sets_) {
      if (set.kind == kind) return set.recordings;
    }
    Set& oldest = sets_[next_];
    next_ = (next_ + 1) % sets_.size();
    oldest = {.kind = kind, .recordings = {}};
    return oldest.recordings;
  }

 private:
  struct Set {
    PassKind kind;
    Recordings recordings;
  };
  std::array<Set, 4> sets_;  // a batch and an epoch's last one, in training and out of it
  std::size_t next_ = 0;
};

}  // namespace ps::nn
