// The lines of all processes on psrun's own standard output and error: each marked with who wrote
// it, a live progress line kept below the others, and the last JSON line of worker 0 bare at the
// end.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "options.h"

namespace ps::psrun {

class Output {
 public:
  // One stream of one process.
  struct Source {
    std::string mark;
    int fd;                 // psrun's, 1 or 2
    bool results = false;   // worker 0's standard output: its JSON is kept
    bool live = false;      // worker 0: lines that end in "\r" are progress
    std::string partial;    // of a line
    bool returned = false;  // a "\r" came last: "\n" may follow, or the line begins anew
  };

  // `interrupt_fd`: when it is readable, output that would block is dropped, so that a reader who
  // has stopped reading cannot keep psrun from ending its processes.
  Output(ColorMode color, int interrupt_fd);

  // `number` picks the colour, `width` the mark's columns. Valid as long as the Output.
  Source& add_source(const std::string& name, std::size_t number, std::size_t width, int fd);

  void feed(Source& source, std::string_view bytes);
  void end(Source& source);  // what is left of a line
  // A line of psrun's own, to standard error.
  void say(std::string_view text);
  // The bare JSON line, if there was one, and no live line any more.
  void finish();

  // Nobody reads standard output any more.
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  // Progress is shown on a terminal.
  [[nodiscard]] bool live() const noexcept { return live_columns_ > 0; }

 private:
  void take_line(Source& source, std::string& text);
  void write_lines(int fd, std::string_view text);
  void write_all(int fd, std::string_view text);

  const ColorMode color_;
  const int interrupt_fd_;
  const std::size_t live_columns_;  // 0: standard error is no terminal
  std::deque<Source> sources_;      // a deque, so that references stay valid
  std::string live_line_;
  std::string drawn_;                     // the live line on the terminal now
  std::optional<std::string> held_;       // the newest line of results, if it is JSON
  std::optional<std::string> last_json_;  // bare
  const Source* results_ = nullptr;
  bool broken_ = false;
  bool hurried_ = false;
};

}  // namespace ps::psrun
