#include "launcher.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <poll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>

namespace ps::psrun {
namespace {

constexpr Duration kSchedulerDeadline = std::chrono::seconds(30);
constexpr Duration kTerminateDeadline = std::chrono::seconds(2);
constexpr Duration kKillDeadline = std::chrono::seconds(10);
constexpr std::size_t kMaxEndpointBytes = 4096;
constexpr int kTimeoutCode = 124;
constexpr std::size_t kReadBytes = 65536;
constexpr int kReadsAtEnd = 64;  // more than a pipe holds

// These come through a descriptor from now on.
Fd signal_descriptor(std::initializer_list<int> signals) {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int signal : signals) sigaddset(&wanted, signal);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  Fd fd(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.open()) throw std::system_error(errno, std::generic_category(), "signalfd");
  return fd;
}

std::string random_id() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw std::system_error(errno, std::generic_category(), "getrandom");
  }
  std::string text;
  for (const unsigned byte : bytes) {
    text += "0123456789abcdef"[byte >> 4U];
    text += "0123456789abcdef"[byte & 15U];
  }
  return text;
}

std::string seconds_text(Duration duration) {
  std::string text = std::to_string(seconds(duration));
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + " s";
}

}  // namespace

PrivateDirectory::PrivateDirectory(const ops::Environment& environment) {
  for (const auto& parent :
       {environment.get("XDG_RUNTIME_DIR").value_or(""), std::string("/tmp")}) {
    if (parent.empty()) continue;
    path_ = parent + "/psrun.XXXXXX";
    if (mkdtemp(path_.data()) != nullptr) return;
  }
  throw std::system_error(errno, std::generic_category(), "make a directory in /tmp");
}

PrivateDirectory::~PrivateDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Launcher::Launcher(const Options& options)
    : options_(options),
      plan_(plan_processes(options)),
      directory_(options.environment),
      interrupts_(signal_descriptor({SIGINT, SIGTERM, SIGHUP, SIGQUIT})),
      exits_(signal_descriptor({SIGCHLD})),
      lifeline_(make_pipe(Reader::kProgram)),
      report_(make_pipe(Reader::kPsrun)),
      output_(options.color, interrupts_.get()),
      deadline_(clock_.now() + kSchedulerDeadline),
      kill_after_at_(options.kill_after > Duration::zero() ? clock_.now() + options.kill_after
                                                           : kNever) {
  std::signal(SIGCHLD, SIG_DFL);  // an ignored one would reap the children behind our back
  std::signal(SIGPIPE, SIG_IGN);  // the reader of our output may leave
  job_ = {
      .id = random_id(), .directory = directory_.path(), .endpoint = {}, .live = output_.live()};
}

int Launcher::run() {
  start(plan_.front());
  report_.write.close();
  while (any_running() || phase_ == Phase::kScheduler) {
    wait_for_events();
    if (pressure_ == Pressure::kKill && clock_.now() >= deadline_) {
      output_.say("gave up on " + running_names() + ", which SIGKILL did not end");
      break;
    }
  }
  output_.finish();
  return exit_code_;
}

void Launcher::start(const Process& process) {
  const auto environment = full_environment(options_, job_, process);
  const bool scheduler = process.role == ops::ProcessRole::kScheduler;
  Member member{process,
                Child({.program = options_.program,
                       .environment = environment,
                       .lifeline_fd = lifeline_.read.get(),
                       .report_fd = scheduler ? report_.write.get() : -1}),
                {}};
  const std::size_t width = plan_.size() > 1 ? plan_.back().name.size() : 0;
  const std::size_t widest = std::max(width, plan_.front().name.size());
  member.sources = {&output_.add_source(process.name, members_.size(), widest, STDOUT_FILENO),
                    &output_.add_source(process.name, members_.size(), widest, STDERR_FILENO)};
  members_.push_back(std::move(member));
}

void Launcher::start_others() {
  phase_ = Phase::kRunning;
  deadline_ = kNever;
  for (std::size_t i = 1; i < plan_.size(); ++i) {
    try {
      start(plan_[i]);
    } catch (const std::system_error& error) {
      fail(1, "cannot start " + plan_[i].name + ": " + error.code().message());
      return;
    }
  }
}

void Launcher::wait_for_events() {
  std::vector<pollfd> polled{
      {interrupts_.get(), POLLIN, 0}, {exits_.get(), POLLIN, 0}, {report_.read.get(), POLLIN, 0}};
  const std::size_t first = polled.size();
  for (const auto& member : members_) {
    for (const auto& stream : member.child.streams) polled.push_back({stream.get(), POLLIN, 0});
  }
  const std::size_t count = members_.size();                              // on_report() adds more
  if (poll(polled.data(), polled.size(), poll_timeout_ms()) < 0) return;  // EINTR
  for (std::size_t i = 0; i < 2 * count; ++i) {
    if (polled[first + i].revents != 0) drain(members_[i / 2], i % 2, false);
  }
  if (polled[2].revents != 0) on_report();
  if (polled[0].revents != 0) on_interrupts();
  if (polled[1].revents != 0) on_exits();
  if (output_.broken() && phase_ != Phase::kStopping) {
    fail(128 + SIGPIPE, "nobody reads the output any more");
    press(Pressure::kTerminate);
  }
  on_deadline();
}

int Launcher::poll_timeout_ms() const {
  const bool stopping = phase_ == Phase::kStopping;
  const TimePoint next = stopping ? deadline_ : std::min(deadline_, kill_after_at_);
  if (next == kNever) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - clock_.now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, INT_MAX));
}

void Launcher::on_exits() {
  signalfd_siginfo info{};
  while (read(exits_.get(), &info, sizeof info) == sizeof info) {
  }
  reap();
}

void Launcher::on_interrupts() {
  signalfd_siginfo info{};
  while (read(interrupts_.get(), &info, sizeof info) == sizeof info) {
    on_interrupt(static_cast<int>(info.ssi_signo));
  }
}

void Launcher::on_interrupt(int signal) {
  if (interrupted_) {
    press(Pressure::kKill);
    return;
  }
  interrupted_ = true;
  output_.say("got " + signal_name(signal) + ": ending the job (again: at once)");
  for (const auto& member : members_) member.child.signal_group(signal);
  if (phase_ == Phase::kStopping) return;  // the first failure's code stands
  phase_ = Phase::kStopping;
  exit_code_ = 128 + signal;
  deadline_ = clock_.now() + options_.grace;
}

void Launcher::on_report() {
  std::array<char, 512> bytes{};
  const ssize_t got = read(report_.read.get(), bytes.data(), bytes.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) reported_.append(bytes.data(), static_cast<std::size_t>(got));
  const std::size_t end = reported_.find('\n');
  if (got > 0 && end == std::string::npos && reported_.size() < kMaxEndpointBytes) return;
  report_.read.close();
  if (phase_ != Phase::kScheduler) return;
  if (end == std::string::npos || end == 0) {
    // Most likely it is ending; how says more than that it closed the descriptor.
    deadline_ = std::min(deadline_, clock_.now() + options_.grace);
    return;
  }
  job_.endpoint = reported_.substr(0, end);
  start_others();
}

void Launcher::reap() {
  for (auto& member : members_) {
    const auto status = member.child.try_reap();
    if (!status) continue;
    for (const std::size_t stream : {std::size_t{0}, std::size_t{1}}) drain(member, stream, true);
    on_exit(member, *status);
  }
  if (phase_ == Phase::kRunning && all_workers_ended()) {
    phase_ = Phase::kLeaving;
    deadline_ = clock_.now() + options_.grace;
  }
}

void Launcher::on_exit(const Member& member, const ExitStatus& status) {
  if (phase_ == Phase::kStopping) return;
  if (!status.ok()) {
    fail(status.shell_code(), member.process.name + " failed: " + to_string(status));
  } else if (phase_ == Phase::kScheduler) {
    fail(1, "the scheduler ended before it reported its endpoint: is " + options_.program.front() +
                " a ps program, which opens a ps::Session?");
  }
}

// Passes on what there is to read; at the end all of it.
void Launcher::drain(Member& member, std::size_t stream, bool last) {
  Fd& fd = member.child.streams.at(stream);
  Output::Source& source = *member.sources.at(stream);
  std::vector<char> bytes(kReadBytes);
  for (int i = 0; fd.open() && i < (last ? kReadsAtEnd : 1); ++i) {
    const ssize_t got = read(fd.get(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got > 0) {
      output_.feed(source, {bytes.data(), static_cast<std::size_t>(got)});
    } else {
      output_.end(source);
      fd.close();
    }
  }
  if (last && fd.open()) {  // someone outside the group still holds the other end
    output_.end(source);
    fd.close();
  }
}

// Stops the job for the reason in `text`.
void Launcher::fail(int code, const std::string& text) {
  phase_ = Phase::kStopping;
  exit_code_ = code;
  deadline_ = clock_.now() + options_.grace;
  output_.say(text + (any_running() ? "; stopping the others" : ""));
}

void Launcher::press(Pressure pressure) {
  pressure_ = pressure;
  const bool kill = pressure == Pressure::kKill;
  for (const auto& member : members_) member.child.signal_group(kill ? SIGKILL : SIGTERM);
  deadline_ = clock_.now() + (kill ? kKillDeadline : kTerminateDeadline);
}

void Launcher::on_deadline() {
  const TimePoint now = clock_.now();
  if (phase_ != Phase::kStopping && now >= kill_after_at_) {
    fail(kTimeoutCode, "the job still ran after " + seconds_text(options_.kill_after));
    press(Pressure::kTerminate);
  }
  if (now < deadline_ || !any_running()) return;
  const std::string late = " did not end within " + seconds_text(options_.grace);
  if (phase_ == Phase::kScheduler) {
    fail(1, report_.read.open()
                ? "the scheduler reported no endpoint within " + seconds_text(kSchedulerDeadline)
                : "the scheduler closed its report descriptor without an endpoint in it");
    press(Pressure::kTerminate);
  } else if (phase_ == Phase::kLeaving) {
    fail(1, running_names() + late + " of the last worker's end");
    press(Pressure::kTerminate);
  } else if (pressure_ == Pressure::kNone) {
    output_.say(running_names() + late + ": SIGTERM");
    press(Pressure::kTerminate);
  } else if (pressure_ == Pressure::kTerminate) {
    output_.say(running_names() + " did not end within " + seconds_text(kTerminateDeadline) +
                " of SIGTERM: SIGKILL");
    press(Pressure::kKill);
  }
}

bool Launcher::any_running() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const Member& member) { return member.child.running(); });
}

bool Launcher::all_workers_ended() const {
  return std::none_of(members_.begin(), members_.end(), [](const Member& member) {
    return member.process.role == ops::ProcessRole::kWorker && member.child.running();
  });
}

std::string Launcher::running_names() const {
  std::string names;
  for (const auto& member : members_) {
    if (member.child.running()) names += (names.empty() ? "" : ", ") + member.process.name;
  }
  return names;
}

}  // namespace ps::psrun
