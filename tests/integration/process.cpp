#include "integration/process.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdexcept>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace ps::test {
namespace {

std::vector<std::string> environment_with(const std::vector<std::string>& variables) {
  std::vector<std::string> all = variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('=') + 1);
    const bool replaced =
        std::any_of(variables.begin(), variables.end(),
                    [&](const auto& variable) { return variable.starts_with(name); });
    if (!replaced && !text.starts_with("PS_")) all.emplace_back(text);
  }
  return all;
}

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe2");
  }
  return ends;
}

// Our side and the program's.
std::array<int, 2> make_terminal(unsigned short columns) {
  const int ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (ours < 0 || grantpt(ours) != 0 || unlockpt(ours) != 0) {
    throw std::system_error(errno, std::generic_category(), "posix_openpt");
  }
  const int theirs = open(ptsname(ours), O_RDWR | O_NOCTTY | O_CLOEXEC);
  const winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  if (theirs < 0 || ioctl(theirs, TIOCSWINSZ, &size) != 0) {
    throw std::system_error(errno, std::generic_category(), "terminal");
  }
  return {ours, theirs};
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (auto& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments,
                 const std::vector<std::string>& variables,
                 unsigned short terminal_columns) {
  auto program = arguments;
  auto environment = environment_with(variables);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  std::array<int, 2> ends{};
  std::array<int, 2> writers{};
  for (int stream = 0; stream < 2; ++stream) {
    const auto i = static_cast<std::size_t>(stream);
    ends = stream == 1 && terminal_columns > 0 ? make_terminal(terminal_columns) : make_pipe();
    streams_.at(i) = ends[0];
    writers.at(i) = ends[1];
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO + stream);
  }
  const int reason = posix_spawnp(&pid_, program[0].c_str(), &actions, nullptr,
                                  pointers(program).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  for (const int writer : writers) close(writer);
  if (reason != 0) throw std::system_error(reason, std::generic_category(), program[0]);
}

Process::~Process() {
  for (const int stream : streams_) {
    if (stream >= 0) close(stream);
  }
  if (pid_ == 0) return;
  kill(SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Process::kill(int signal) const {
  ::kill(pid_, signal);
}

// False once both streams have ended.
bool Process::read_some(std::chrono::steady_clock::time_point until) {
  if (streams_[0] < 0 && streams_[1] < 0) return false;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
  std::array<pollfd, 2> polled{pollfd{streams_[0], POLLIN, 0}, pollfd{streams_[1], POLLIN, 0}};
  if (left.count() <= 0 || poll(polled.data(), 2, static_cast<int>(left.count())) == 0) {
    throw std::runtime_error("deadline passed; out:\n" + out + "\nerr:\n" + err);
  }
  for (std::size_t i = 0; i < 2; ++i) {
    if (polled.at(i).revents == 0) continue;
    std::array<char, 4096> bytes{};
    const ssize_t got = read(streams_.at(i), bytes.data(), bytes.size());
    if (got > 0) {
      (i == 0 ? out : err).append(bytes.data(), static_cast<std::size_t>(got));
    } else {
      close(streams_.at(i));
      streams_.at(i) = -1;
    }
  }
  return true;
}

void Process::read_until(const std::function<bool(const Process&)>& done,
                         std::chrono::seconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  while (!done(*this)) {
    if (!read_some(until)) {
      throw std::runtime_error("ended too early; out:\n" + out + "\nerr:\n" + err);
    }
  }
}

int Process::wait(std::chrono::seconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  while (read_some(until)) {
  }
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) {
    throw std::system_error(errno, std::generic_category(), "waitpid");
  }
  pid_ = 0;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace ps::test
