#include "child.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

#include "plan.h"

namespace ps::psrun {
namespace {

[[noreturn]] void fail(int reason, const std::string& what) {
  throw std::system_error(reason, std::generic_category(), what);
}

Fd lifted(const Fd& low) {
  Fd high(fcntl(low.get(), F_DUPFD_CLOEXEC, 10));
  if (!high.open()) fail(errno, "duplicate a descriptor");
  return high;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  // posix_spawn takes char* const[] and changes nothing.
  for (const auto& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

// What happens in the child before the program begins.
class SpawnSetup {
 public:
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);  // a group of its own
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    // A background group that reads the terminal would be stopped.
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  void give(int fd, int as) { posix_spawn_file_actions_adddup2(&actions_, fd, as); }

  pid_t spawn(const SpawnRequest& request) {
    pid_t pid = 0;
    const int reason =
        posix_spawnp(&pid, request.program.front().c_str(), &actions_, &attributes_,
                     pointers(request.program).data(), pointers(request.environment).data());
    if (reason != 0) fail(reason, request.program.front());
    return pid;
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Pipe make_pipe(Reader reader) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) fail(errno, "make a pipe");
  const Fd read(ends[0]);
  const Fd write(ends[1]);
  Pipe pipe{.read = lifted(read), .write = lifted(write)};
  if (reader == Reader::kPsrun) fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

std::string signal_name(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

std::string to_string(const ExitStatus& status) {
  if (status.signal != 0) return "signal " + signal_name(status.signal);
  return "exit code " + std::to_string(status.code);
}

Child::Child(const SpawnRequest& request) {
  Pipe out = make_pipe(Reader::kPsrun);
  Pipe err = make_pipe(Reader::kPsrun);
  SpawnSetup setup;
  setup.give(out.write.get(), STDOUT_FILENO);
  setup.give(err.write.get(), STDERR_FILENO);
  setup.give(request.lifeline_fd, kLifelineFd);
  if (request.report_fd >= 0) setup.give(request.report_fd, kReportFd);
  pid_.value = setup.spawn(request);
  streams = {std::move(out.read), std::move(err.read)};
}

Child::~Child() {
  if (!running()) return;
  signal_group(SIGKILL);
  while (waitpid(pid_.value, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Child::signal_group(int signal) const noexcept {
  if (running()) kill(-pid_.value, signal);
}

std::optional<ExitStatus> Child::try_reap() {
  if (!running()) return std::nullopt;
  siginfo_t info{};
  const auto id = static_cast<id_t>(pid_.value);
  // As long as the process is not reaped, its group's number is not used for another.
  if (waitid(P_PID, id, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) {
    return std::nullopt;
  }
  signal_group(SIGKILL);
  waitid(P_PID, id, &info, WEXITED);
  pid_.value = 0;
  const bool exited = info.si_code == CLD_EXITED;
  return ExitStatus{.code = exited ? info.si_status : 0, .signal = exited ? 0 : info.si_status};
}

}  // namespace ps::psrun
