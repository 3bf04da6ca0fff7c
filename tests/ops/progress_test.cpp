#include "ops/progress.h"

#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "support/catch.h"

namespace ps::ops {
namespace {

// Takes what is written to fd().
class Capture {
 public:
  Capture() { REQUIRE(pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK) == 0); }
  ~Capture() {
    close(ends_[0]);
    close(ends_[1]);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  [[nodiscard]] int fd() const { return ends_[1]; }
  // Since the last call.
  std::string take() {
    std::array<char, 4096> bytes{};
    const ssize_t got = read(ends_[0], bytes.data(), bytes.size());
    return {bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
  }

 private:
  std::array<int, 2> ends_{};
};

TEST_CASE("progress: a live line is written over, at most ten times a second", "[unit]") {
  ManualClock clock;
  Capture capture;
  Progress progress({.mode = ProgressMode::kLive, .fd = capture.fd()}, clock);
  CHECK(progress.due());
  progress.update("step 1");
  CHECK(capture.take() == "step 1\x1b[K\r");
  clock.advance(std::chrono::milliseconds(99));
  CHECK_FALSE(progress.due());
  progress.update("step 2");
  CHECK(capture.take().empty());
  clock.advance(std::chrono::milliseconds(1));
  progress.update("step 3");
  CHECK(capture.take() == "step 3\x1b[K\r");
  progress.finish("step 4");
  CHECK(capture.take() == "step 4\x1b[K\n");
  progress.update("next phase");
  CHECK(capture.take() == "next phase\x1b[K\r");
}

TEST_CASE("progress: a log gets a plain line now and then", "[unit]") {
  ManualClock clock;
  Capture capture;  // a pipe: auto is plain
  Progress progress({.fd = capture.fd(), .columns = 4}, clock);
  progress.update("step 100");
  clock.advance(std::chrono::milliseconds(9999));
  progress.update("step 200");
  clock.advance(std::chrono::milliseconds(1));
  progress.update("step 300");
  progress.finish("done");
  CHECK(capture.take() == "step 100\nstep 300\ndone\n");
}

TEST_CASE("progress: off shows nothing and is never due", "[unit]") {
  ManualClock clock;
  Capture capture;
  Progress progress({.mode = ProgressMode::kOff, .fd = capture.fd()}, clock);
  CHECK_FALSE(progress.due());
  progress.update("a");
  progress.finish("b");
  CHECK(capture.take().empty());
}

TEST_CASE("progress: a live line is cut to the width, a column free", "[unit]") {
  ManualClock clock;
  Capture capture;
  Progress progress({.mode = ProgressMode::kLive, .fd = capture.fd(), .columns = 6}, clock);
  progress.update("123456");
  CHECK(capture.take() == "1234…\x1b[K\r");
}

TEST_CASE("progress: on a terminal auto is live and as wide as the terminal", "[unit]") {
  const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(master >= 0);
  REQUIRE(grantpt(master) == 0);
  REQUIRE(unlockpt(master) == 0);
  const int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(terminal >= 0);
  const winsize size{.ws_row = 24, .ws_col = 8, .ws_xpixel = 0, .ws_ypixel = 0};
  REQUIRE(ioctl(terminal, TIOCSWINSZ, &size) == 0);
  CHECK(terminal_columns(terminal) == 8);
  ManualClock clock;
  Progress({.fd = terminal}, clock).update("123456789");
  std::array<char, 64> bytes{};
  const ssize_t got = read(master, bytes.data(), bytes.size());
  CHECK(std::string(bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))) ==
        "123456…\x1b[K\r");
  close(terminal);
  close(master);
}

TEST_CASE("progress: a reader that is gone or slow is not an error", "[unit]") {
  ManualClock clock;
  Capture capture;
  Progress progress({.mode = ProgressMode::kPlain, .fd = capture.fd()}, clock);
  progress.finish(std::string(std::size_t{1} << 20, 'x'));  // more than the pipe takes
  CHECK(capture.take().size() == 4096);
}

TEST_CASE("fit_columns: counts characters, not bytes, and no colours", "[unit]") {
  CHECK(fit_columns("", 5).empty());
  CHECK(fit_columns("hello", 5) == "hello");
  CHECK(fit_columns("hello!", 5) == "hell…");
  CHECK(fit_columns("hello", 1) == "…");
  CHECK(fit_columns("hello", 0).empty());
  CHECK(fit_columns("äöüß", 4) == "äöüß");
  CHECK(fit_columns("äöüß!", 4) == "äöü…");
  CHECK(fit_columns("\x1b[31mred\x1b[0m", 3) == "\x1b[31mred\x1b[0m");
  CHECK(fit_columns("\x1b[31mredder\x1b[0m", 3) == "\x1b[31mre…\x1b[0m");
  CHECK(fit_columns("\x1b[", 3) == "\x1b[");
}

}  // namespace
}  // namespace ps::ops
