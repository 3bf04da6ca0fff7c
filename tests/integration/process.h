// A program under test: started with its output on pipes, waited for with deadlines.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace ps::test {

class Process {
 public:
  // `variables` ("NAME=value") come on top of this process's environment, without its PS_ ones.
  // `terminal_columns` > 0: standard error is a terminal so wide.
  explicit Process(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& variables = {},
                   unsigned short terminal_columns = 0);
  ~Process();  // kills it
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Reads until both streams have ended and the process has; its exit code, or 128 + signal.
  // Throws std::runtime_error, with what was read, at the deadline.
  int wait(std::chrono::seconds deadline = std::chrono::seconds(30));
  // Reads until `done` says so of what has been read. Throws as wait().
  void read_until(const std::function<bool(const Process&)>& done,
                  std::chrono::seconds deadline = std::chrono::seconds(30));
  void kill(int signal) const;

  std::string out;  // standard output so far
  std::string err;

 private:
  bool read_some(std::chrono::steady_clock::time_point until);

  pid_t pid_ = 0;
  std::array<int, 2> streams_{-1, -1};
};

}  // namespace ps::test
