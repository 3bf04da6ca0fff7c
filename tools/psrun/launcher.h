// Starts a job's processes, passes their output on, and sees all of them end. One thread, one poll
// loop; signals come through a descriptor.
//
// 1. The scheduler starts alone; servers and workers start once it has reported its endpoint.
// 2. The job is over when all workers have ended with 0; the others then have `grace` to end.
// 3. The first process that fails, a signal to psrun, or a deadline stops the job: after `grace`
//    SIGTERM, 2 s later SIGKILL, always to whole groups. A second signal to psrun is SIGKILL at
//    once.
// 4. psrun ends only when every process has been reaped (or, after SIGKILL, will not be).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "child.h"
#include "options.h"
#include "output.h"
#include "plan.h"

namespace ps::psrun {

// A directory of mode 0700 in $XDG_RUNTIME_DIR or /tmp, removed with what is in it.
class PrivateDirectory {
 public:
  explicit PrivateDirectory(const ops::Environment& environment);  // throws std::system_error
  ~PrivateDirectory();
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

class Launcher {
 public:
  explicit Launcher(const Options& options);
  // Runs the job to its end; psrun's exit code.
  int run();

 private:
  enum class Phase {
    kScheduler,  // waiting for its endpoint
    kRunning,
    kLeaving,  // all workers have ended well
    kStopping  // told to, or about to be told by the scheduler
  };
  // What a stopping job's processes got last.
  enum class Pressure { kNone, kTerminate, kKill };

  struct Member {
    Process process;
    Child child;
    std::array<Output::Source*, 2> sources;
  };

  void start(const Process& process);
  void start_others();
  void wait_for_events();
  void on_exits();
  void on_interrupts();
  void on_interrupt(int signal);
  void on_report();
  void on_deadline();
  void reap();
  void on_exit(const Member& member, const ExitStatus& status);
  void drain(Member& member, std::size_t stream, bool last);
  void fail(int code, const std::string& text);
  void press(Pressure pressure);
  [[nodiscard]] bool any_running() const;
  [[nodiscard]] bool all_workers_ended() const;
  [[nodiscard]] std::string running_names() const;
  [[nodiscard]] int poll_timeout_ms() const;

  const Options& options_;
  const std::vector<Process> plan_;
  const MonotonicClock clock_;
  const PrivateDirectory directory_;
  const Fd interrupts_;
  const Fd exits_;
  const Pipe lifeline_;
  Pipe report_;
  Output output_;
  Job job_;
  std::string reported_;
  std::vector<Member> members_;
  Phase phase_ = Phase::kScheduler;
  Pressure pressure_ = Pressure::kNone;
  TimePoint deadline_;             // of the phase, or of the pressure
  const TimePoint kill_after_at_;  // of the job
  bool interrupted_ = false;
  int exit_code_ = 0;
};

}  // namespace ps::psrun
