// One process of the job, with its own process group and its output on pipes.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace ps::psrun {

// Owns a descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool open() const noexcept { return fd_ >= 0; }
  void close() { *this = Fd(); }

 private:
  int fd_ = -1;
};

// Who reads a pipe: psrun does not block on it, a program expects that it does.
enum class Reader { kPsrun, kProgram };

struct Pipe {
  Fd read;
  Fd write;
};

// Both ends are closed on exec and numbered 10 and up, out of the way of the descriptors that a
// child gets. Throws std::system_error.
Pipe make_pipe(Reader reader);

// How a process ended.
struct ExitStatus {
  int code = 0;    // its exit code, or
  int signal = 0;  // the signal that ended it
  [[nodiscard]] bool ok() const noexcept { return code == 0 && signal == 0; }
  // As a shell has it: 128 + signal.
  [[nodiscard]] int shell_code() const noexcept { return signal != 0 ? 128 + signal : code; }
};
// "exit code 3", "signal SIGKILL".
std::string to_string(const ExitStatus& status);
std::string signal_name(int signal);

struct SpawnRequest {
  const std::vector<std::string>& program;
  const std::vector<std::string>& environment;
  int lifeline_fd = -1;  // becomes kLifelineFd there
  int report_fd = -1;    // becomes kReportFd there, unless -1
};

class Child {
 public:
  // Starts the program; standard input is empty. Throws std::system_error with the reason when it
  // cannot be started.
  explicit Child(const SpawnRequest& request);
  Child(Child&&) = default;
  Child& operator=(Child&&) = default;
  // Whoever drops a child has seen it end, or kills it here: none outlives psrun.
  ~Child();

  [[nodiscard]] bool running() const noexcept { return pid_.value > 0; }
  // To the whole group, so that a shell's children get it too.
  void signal_group(int signal) const noexcept;
  // How it ended, once, if it has. What is left of its group is killed before its number can be
  // used again.
  std::optional<ExitStatus> try_reap();

  // Read ends: standard output, standard error.
  std::array<Fd, 2> streams;

 private:
  struct Pid {  // 0 after a move and once reaped
    pid_t value = 0;
    Pid() = default;
    Pid(Pid&& other) noexcept : value(std::exchange(other.value, 0)) {}
    Pid& operator=(Pid&& other) noexcept {
      std::swap(value, other.value);
      return *this;
    }
  };
  Pid pid_;
};

}  // namespace ps::psrun
