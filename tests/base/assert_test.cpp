// A broken invariant ends the process with a line that names it, in every build type.
#include "base/assert.h"

#include <csignal>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "support/catch.h"

namespace {

struct Death {
  int signal = 0;
  std::string text;
};

// Runs `body` in a child process and tells how that ended.
template <class Body>
Death die_in_child(Body body) {
  int ends[2] = {-1, -1};
  REQUIRE(::pipe(ends) == 0);
  const ::pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);  // Catch2's handler would report the test as failed
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    body();
    ::_exit(0);
  }
  ::close(ends[1]);
  Death death;
  char bytes[256];
  for (;;) {
    const ::ssize_t count = ::read(ends[0], bytes, sizeof bytes);
    if (count <= 0) break;
    death.text.append(bytes, static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) death.signal = WTERMSIG(status);
  return death;
}

}  // namespace

TEST_CASE("assert: a broken invariant aborts and says which, where and why", "[unit]") {
  const Death death = die_in_child([] {
    const int clock = 3;
    PS_ASSERT(clock < 3, "clocks never pass the gate");
  });
  CHECK(death.signal == SIGABRT);
  CHECK_THAT(death.text, Catch::Contains("assert_test.cpp:"));
  CHECK_THAT(death.text, Catch::Contains("clocks never pass the gate (clock < 3)"));
}

TEST_CASE("assert: a kept invariant costs one evaluation of its condition", "[unit]") {
  int evaluations = 0;
  PS_ASSERT(++evaluations == 1, "evaluated once");
  CHECK(evaluations == 1);
}
