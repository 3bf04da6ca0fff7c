// What a run is doing, for people: one line that is written over on a terminal, or a plain line
// now and then in a log. The text is the caller's.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "ops/config.h"

namespace ps::ops {

// Begins `text`, at most `columns` wide, ended by an ellipsis where it was cut. A character counts
// as one column, whatever its bytes; escape sequences count as none.
std::string fit_columns(std::string_view text, std::size_t columns);

// The columns of the terminal that `fd` is; 0 when it is none.
std::size_t terminal_columns(int fd) noexcept;

// A live line ends with these instead of "\n": clear what an earlier, longer line left, and go back
// to the first column. psrun knows a live line by the last of them.
inline constexpr std::string_view kLiveEnd = "\x1b[K\r";

class Progress {
 public:
  struct Options {
    ProgressMode mode = ProgressMode::kAuto;  // kAuto: live when `fd` is a terminal, else plain
    int fd = 2;
    Duration live_interval = std::chrono::milliseconds(100);
    Duration plain_interval = std::chrono::seconds(10);
    std::size_t columns = 0;  // where the terminal does not say; 0: no limit
  };

  Progress(const Options& options, const Clock& clock);  // the clock outlives it

  // Whether update() would show anything now, so that the text need not be made in vain.
  [[nodiscard]] bool due() const noexcept;
  // Shows `text`, one line, unless the last one was shown a moment ago.
  void update(std::string_view text);
  // Shows `text` in any case and leaves it there. Updates may follow, on a line below.
  void finish(std::string_view text);

 private:
  void write_line(std::string_view text, std::string_view end);

  const Options options_;
  const Clock& clock_;
  const bool live_;
  TimePoint next_;  // when something may be shown again
};

}  // namespace ps::ops
