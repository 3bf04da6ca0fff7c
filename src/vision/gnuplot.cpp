#include "vision/gnuplot.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

#include <ps/error.h>
#include <ps/vision/draw.h>

namespace ps::vision {
namespace {

constexpr int kDeadlineMs = 60'000;
constexpr const char* kErrors = "gnuplot.txt";  // what gnuplot said, kept only if it failed

[[noreturn]] void io_error(const std::string& what, int error) {
  throw Error(ErrorCode::kIo, what + ": " + std::generic_category().message(error));
}

// Starts `gnuplot -d script` in `folder`: its answer goes to kErrors there, settings of the user's
// are not read.
pid_t start(const std::string& folder, const std::string& script) {
  std::array<std::string, 3> words = {"gnuplot", "-d", script};
  std::array<char*, 4> arguments = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, kErrors, O_WRONLY | O_CREAT | O_TRUNC,
                                   0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  const int error =
      posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) {
    throw Error(ErrorCode::kUnavailable,
                "gnuplot is not installed, so there are no plots; install gnuplot-nox");
  }
  if (error != 0) io_error("cannot start gnuplot", error);
  return child;
}

// Waits for its end, and ends it when it takes too long; whether it ended well.
bool finish(pid_t child) {
  const auto handle = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  if (handle >= 0) {  // a kernel without it waits without a deadline
    pollfd wanted{handle, POLLIN, 0};
    int ready = 0;
    do {
      ready = poll(&wanted, 1, kDeadlineMs);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) kill(child, SIGKILL);
    close(handle);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return false;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// How many bytes of `text` from `at` on make one character of UTF-8; 0: they do not.
std::size_t character_bytes(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(at);
  const std::size_t count = first < 0x80   ? 1
                            : first < 0xC2 ? 0
                            : first < 0xE0 ? 2
                            : first < 0xF0 ? 3
                            : first < 0xF5 ? 4
                                           : 0;
  if (at + count > text.size()) return 0;
  for (std::size_t i = 1; i < count; ++i) {
    if ((byte(at + i) & 0xC0U) != 0x80U) return 0;
  }
  return count;
}

}  // namespace

PlotValue::PlotValue(std::string name_, const std::string& text)
    : name(std::move(name_)), value("'" + text + "'") {}

PlotValue::PlotValue(std::string name_, std::int64_t number)
    : name(std::move(name_)), value(std::to_string(number)) {}

Gnuplot::Gnuplot(const std::string& folder) : plots_(folder + "/plots") {
  std::error_code error;
  std::filesystem::create_directory(plots_, error);
  if (error) io_error("cannot make the folder " + plots_, error.value());
}

void Gnuplot::write(const std::string& file, const std::string& text) const {
  std::ofstream stream(path(file), std::ios::binary | std::ios::trunc);
  stream << text << std::flush;
  if (!stream) io_error("cannot write " + path(file), errno);
}

void Gnuplot::draw(const std::string& name,
                   std::span<const PlotValue> values,
                   const std::string& body) const {
  std::string script = "# Draws " + name + " again, in this folder: gnuplot " + name + ".gp\n";
  for (const PlotValue& value : values) script += value.name + " = " + value.value + "\n";
  write(name + ".gp", script + body);
  if (finish(start(plots_, name + ".gp"))) {
    std::error_code ignored;
    std::filesystem::remove(path(kErrors), ignored);
    return;
  }
  std::ifstream said(path(kErrors), std::ios::binary);
  std::string text(300, '\0');
  said.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(said.gcount()));
  throw Error(ErrorCode::kIo,
              "gnuplot failed on " + path(name + ".gp") + ": " + plot_text(text, text.size()));
}

std::string plot_text(const std::string& name, std::size_t most) {
  std::string clean;
  std::size_t characters = 0;
  for (std::size_t at = 0; at < name.size(); ++characters) {
    if (characters == most) return clean + "\u2026";
    const std::size_t count = character_bytes(name, at);
    const char letter = name[at];
    const bool quoting = letter == '"' || letter == '\\' || letter == '`';
    if (count == 0) {
      clean += '?';
    } else if (letter == '\'') {
      clean += "\u2019";
    } else if (count == 1 && (quoting || static_cast<unsigned char>(letter) < 0x20)) {
      clean += ' ';
    } else {
      clean += name.substr(at, count);
    }
    at += count == 0 ? 1 : count;
  }
  return clean;
}

std::string color_text(std::int32_t category) {
  const Color color = class_color(category);
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "#%02x%02x%02x", color.red, color.green, color.blue);
  return text.data();
}

}  // namespace ps::vision
