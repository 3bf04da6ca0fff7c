#include "ops/progress.h"

#include <algorithm>
#include <cerrno>
#include <sys/ioctl.h>
#include <unistd.h>

namespace ps::ops {
namespace {

constexpr char kEscape = '\x1b';

// Bytes of the character or escape sequence that begins `text`, and its columns.
struct Unit {
  std::size_t bytes;
  std::size_t columns;
};

Unit first_unit(std::string_view text) {
  if (text.starts_with("\x1b[")) {
    std::size_t end = 2;  // parameters, then one final byte in @ to ~
    while (end < text.size() && (text[end] < '@' || text[end] > '~')) ++end;
    return {std::min(end + 1, text.size()), 0};
  }
  std::size_t bytes = 1;
  while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80U) ++bytes;
  return {bytes, 1};
}

bool is_live(const Progress::Options& options) {
  if (options.mode != ProgressMode::kAuto) return options.mode == ProgressMode::kLive;
  return isatty(options.fd) == 1;
}

}  // namespace

std::string fit_columns(std::string_view text, std::size_t columns) {
  std::size_t width = 0;
  std::size_t kept = 0;  // bytes that leave a column for the ellipsis
  bool coloured = false;
  for (std::size_t at = 0; at < text.size();) {
    const Unit unit = first_unit(text.substr(at));
    if (width + unit.columns > columns) {
      const bool room = columns > 0;
      return std::string(text.substr(0, kept)) + (room ? "…" : "") + (coloured ? "\x1b[0m" : "");
    }
    coloured = coloured || text[at] == kEscape;
    width += unit.columns;
    at += unit.bytes;
    if (width < columns) kept = at;
  }
  return std::string(text);
}

std::size_t terminal_columns(int fd) noexcept {
  winsize size{};
  if (isatty(fd) != 1 || ioctl(fd, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

Progress::Progress(const Options& options, const Clock& clock)
    : options_(options), clock_(clock), live_(is_live(options)), next_(clock.now()) {}

bool Progress::due() const noexcept {
  return options_.mode != ProgressMode::kOff && clock_.now() >= next_;
}

void Progress::update(std::string_view text) {
  if (!due()) return;
  next_ = clock_.now() + (live_ ? options_.live_interval : options_.plain_interval);
  write_line(text, live_ ? kLiveEnd : "\n");
}

void Progress::finish(std::string_view text) {
  if (options_.mode == ProgressMode::kOff) return;
  next_ = clock_.now();
  write_line(text, live_ ? "\x1b[K\n" : "\n");
}

void Progress::write_line(std::string_view text, std::string_view end) {
  std::string line(text);
  if (live_) {
    const std::size_t columns = terminal_columns(options_.fd);
    const std::size_t limit = columns > 0 ? columns : options_.columns;
    // The last column stays empty: a terminal may wrap there.
    if (limit > 0) line = fit_columns(text, limit - 1);
  }
  line += end;
  // Progress is not worth an error: what cannot be written is dropped.
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t put = write(options_.fd, left.data(), left.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return;
    left.remove_prefix(static_cast<std::size_t>(put));
  }
}

}  // namespace ps::ops
