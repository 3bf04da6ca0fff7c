#include "output.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <poll.h>
#include <unistd.h>
#include <utility>

#include "ops/progress.h"

namespace ps::psrun {
namespace {

constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20;  // a longer one is cut in pieces
constexpr std::size_t kWriteBytes = 4096;  // a pipe that polls writable takes so many at once
constexpr std::array kColours = {36, 32, 33, 35, 34, 31};
constexpr std::string_view kClearLine = "\r\x1b[K";
constexpr std::string_view kClearToEnd = "\x1b[K";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

bool looks_like_object(std::string_view text) {
  text = trimmed(text);
  return text.size() >= 2 && text.front() == '{' && text.back() == '}';
}

std::string without_clear(std::string text) {
  if (text.ends_with(kClearToEnd)) text.resize(text.size() - kClearToEnd.size());
  return text;
}

}  // namespace

Output::Output(ColorMode color, int interrupt_fd)
    : color_(color),
      interrupt_fd_(interrupt_fd),
      live_columns_(ops::terminal_columns(STDERR_FILENO)) {}

Output::Source& Output::add_source(const std::string& name,
                                   std::size_t number,
                                   std::size_t width,
                                   int fd) {
  std::string mark = name;
  mark.resize(std::max(width, name.size()), ' ');
  mark += " | ";
  const bool coloured =
      color_ == ColorMode::kAlways || (color_ == ColorMode::kAuto && isatty(fd) == 1);
  if (coloured) {
    mark = "\x1b[" + std::to_string(kColours[number % kColours.size()]) + "m" + mark + "\x1b[0m";
  }
  const bool first = name == "worker 0";
  sources_.push_back({.mark = mark,
                      .fd = fd,
                      .results = first && fd == STDOUT_FILENO,
                      .live = first,
                      .partial = {}});
  if (sources_.back().results) results_ = &sources_.back();
  return sources_.back();
}

void Output::feed(Source& source, std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    if (source.returned && c != '\n') {
      source.partial.clear();  // it is written over
      source.returned = false;
    }
    if (c == '\r') {
      source.returned = true;
      if (source.live && live()) live_line_ = source.mark + without_clear(source.partial);
    } else if (c == '\n') {
      if (source.live) live_line_.clear();
      take_line(source, text);
    } else {
      source.partial += c;
      if (source.partial.size() >= kMaxLineBytes) take_line(source, text);
    }
  }
  write_lines(source.fd, text);
}

void Output::end(Source& source) {
  std::string text;
  if (!source.partial.empty() && !source.returned) take_line(source, text);
  if (source.live) live_line_.clear();
  write_lines(source.fd, text);
}

void Output::take_line(Source& source, std::string& text) {
  source.returned = false;
  std::string line = without_clear(std::exchange(source.partial, {}));
  if (!source.results) {
    text += source.mark + line + '\n';
    return;
  }
  if (held_) text += source.mark + *held_ + '\n';
  held_.reset();
  if (looks_like_object(line)) {
    last_json_ = trimmed(line);
    held_ = std::move(line);
  } else {
    text += source.mark + line + '\n';
  }
}

void Output::say(std::string_view text) {
  write_lines(STDERR_FILENO, "psrun: " + std::string(text) + '\n');
}

void Output::finish() {
  live_line_.clear();
  write_lines(STDOUT_FILENO, last_json_ ? *last_json_ + '\n' : std::string());
}

// The live line makes room for `text` and is drawn again below it.
void Output::write_lines(int fd, std::string_view text) {
  if (text.empty() && live_line_ == drawn_) return;
  if (!drawn_.empty()) write_all(STDERR_FILENO, kClearLine);
  write_all(fd, text);
  drawn_ = live_line_;
  if (drawn_.empty()) return;
  write_all(STDERR_FILENO, ops::fit_columns(drawn_, live_columns_ - 1) + "\r");
}

void Output::write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    std::array<pollfd, 2> polled{pollfd{fd, POLLOUT, 0}, pollfd{interrupt_fd_, POLLIN, 0}};
    if (poll(polled.data(), polled.size(), hurried_ ? 0 : -1) < 0) continue;  // EINTR
    if (polled[0].revents == 0) {
      hurried_ = true;
      return;
    }
    const ssize_t put = write(fd, text.data(), std::min(text.size(), kWriteBytes));
    if (put < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (put < 0) {
      broken_ = broken_ || fd == STDOUT_FILENO;
      return;
    }
    text.remove_prefix(static_cast<std::size_t>(put));
  }
}

}  // namespace ps::psrun
