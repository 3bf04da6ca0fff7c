// The recorder behind ps/trace.h: one file for all processes of a host, in Chrome's JSON array
// format, which may end anywhere. Each thread fills a buffer of its own and appends it whole
// (O_APPEND), so processes neither wait for each other nor mix their lines, and one that is killed
// loses its last 64 KiB at most. The clock is CLOCK_MONOTONIC, which is all processes' of a host.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include <ps/trace.h>

namespace ps::trace {

enum class Begin : std::uint8_t {
  kFile,     // the first process: empties the file
  kProcess,  // another one of the same job
};

// From here on this process records into `path`; once a process. `order` is its place among the
// processes shown. Throws Error{kIo} if the file cannot be written.
void start(const std::string& path, const std::string& process, int order, Begin begin);

// Whether anything is recorded.
[[nodiscard]] inline bool on() noexcept;

// The calling thread's row is called so.
void name_thread(const std::string& name);

// A point in the thread's row. `detail` may be empty.
void instant(const char* name, std::string_view detail);

// What takes its time beside the thread, from one call to the other on the same thread with the
// same name and id.
void begin_async(const char* name, std::uint64_t id, std::uint64_t bytes);
void end_async(const char* name, std::uint64_t id);

// An arrow from the span that the thread is in to the one that another thread or process is in
// where it says the same id.
void flow_out(const std::string& id);
void flow_in(const std::string& id);

// The file's end, after which this process records nothing; once all others have ended. Without it
// the file is one that viewers read, but not a whole JSON text.
void finish(const std::string& path) noexcept;

namespace internal {
extern std::atomic<bool> recording;
}
inline bool on() noexcept {
  return internal::recording.load(std::memory_order_relaxed);
}

}  // namespace ps::trace
