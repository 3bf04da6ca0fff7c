#include "ops/lifeline.h"

#include <array>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <ps/error.h>

#include "support/catch.h"

namespace ps::ops {
namespace {

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw Error(ErrorCode::kInternal, "pipe2");
  return ends;
}

// In the child: watches `lifeline` and sleeps until it ends.
[[noreturn]] void live_on(int lifeline, int log) {
  dup2(log, STDERR_FILENO);
  const Lifeline watch(lifeline, "worker 1");
  for (;;) pause();
}

TEST_CASE("lifeline: the process ends when the writer is gone, and says so", "[unit]") {
  const auto lifeline = make_pipe();
  const auto log = make_pipe();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    close(lifeline[1]);
    live_on(lifeline[0], log[1]);
  }
  close(lifeline[0]);
  close(log[1]);
  REQUIRE(write(lifeline[1], "x", 1) == 1);  // what is written means nothing
  CHECK(waitpid(child, nullptr, WNOHANG) == 0);
  close(lifeline[1]);

  // Its end closes the log; a child that does not end would fail the test here.
  std::string text;
  for (;;) {
    pollfd polled{log[0], POLLIN, 0};
    if (poll(&polled, 1, 10000) != 1) {
      kill(child, SIGKILL);
      break;
    }
    std::array<char, 256> bytes{};
    const ssize_t got = read(log[0], bytes.data(), bytes.size());
    if (got <= 0) break;
    text.append(bytes.data(), static_cast<std::size_t>(got));
  }
  close(log[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == Lifeline::kExitCode);
  CHECK(text == "worker 1: the process that started it is gone: ending\n");
}

TEST_CASE("lifeline: stops cleanly and closes its descriptor", "[unit]") {
  const auto ends = make_pipe();
  { const Lifeline watch(ends[0], "worker 1"); }
  CHECK(fcntl(ends[0], F_GETFD) == -1);
  close(ends[1]);
}

TEST_CASE("lifeline: a descriptor that is not open is refused", "[unit]") {
  CHECK_THROWS_WITH(Lifeline(1 << 20, "worker 1"),
                    Catch::StartsWith("cluster.lifeline_fd = 1048576: expected an open "
                                      "descriptor"));
}

}  // namespace
}  // namespace ps::ops
