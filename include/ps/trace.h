// What every process of a job does when, for Chrome's about:tracing and ui.perfetto.dev. Tracing is
// on where the key observe.trace names a file (psrun --trace FILE sets it for a job); ps itself
// traces its messages, updates and waits. docs/tracing.md shows how to read it.
#pragma once

#include <cstdint>

namespace ps {

// What the calling thread does from here to the end of the scope, as a bar in its row: bars of a
// thread nest. Costs a comparison where tracing is off, about a microsecond where it is on. Any
// thread; made and ended on the same one.
class TraceSpan {
 public:
  // `name` is not copied: a literal.
  explicit TraceSpan(const char* name) noexcept;
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;
  ~TraceSpan();

  // A number to show with it, at most two; `key` is not copied either.
  void note(const char* key, std::uint64_t value) noexcept;

 private:
  struct Note {
    const char* key = nullptr;
    std::uint64_t value = 0;
  };

  const char* name_;
  std::int64_t begun_ns_;  // 0: tracing is off
  Note notes_[2];
};

}  // namespace ps
