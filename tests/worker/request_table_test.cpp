#include "worker/request_table.h"

#include "support/catch.h"

namespace ps::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Bench {
  std::uint64_t add() { return table.add({}, 0, 10, now); }
  TimePoint now{seconds(1)};
  RequestTable table{cluster::Timing{}, 1};
};

}  // namespace

TEST_CASE("request table: numbers rise, and the first incomplete one never falls", "[unit]") {
  Bench bench;
  CHECK(bench.table.first_incomplete() == 1);
  CHECK(bench.add() == 1);
  CHECK(bench.add() == 2);
  CHECK(bench.add() == 3);
  CHECK(bench.table.find(2)->message.header.sequence == 2);
  bench.table.erase(2);
  CHECK(bench.table.first_incomplete() == 1);
  bench.table.erase(1);
  CHECK(bench.table.first_incomplete() == 3);
  bench.table.erase(3);
  CHECK(bench.table.first_incomplete() == 4);
  CHECK(bench.table.find(3) == nullptr);
  CHECK(bench.add() == 4);
}

TEST_CASE("request table: asks after an unanswered request, less and less often", "[unit]") {
  Bench bench;
  bench.add();
  const TimePoint began = bench.now;
  std::vector<double> asked;
  while (bench.now < began + seconds(29)) {
    bench.now = bench.table.next_time();
    for (const auto& due : bench.table.due(bench.now)) {
      CHECK(due.sequence == 1);
      CHECK_FALSE(due.resend);
      asked.push_back(ps::seconds(bench.now - began));
    }
    if (bench.table.expired(bench.now) != nullptr) break;
  }
  REQUIRE(asked.size() >= 5);
  double gap = 1;
  double last = 0;
  for (const double time : asked) {
    CHECK(time - last >= gap * 0.999);
    CHECK(time - last <= gap * 1.13);  // an eighth of jitter
    last = time;
    gap = std::min(gap * 2, 8.0);
  }
}

TEST_CASE("request table: a request expires when its deadline passes without a sign of life",
          "[unit]") {
  Bench bench;
  const auto sequence = bench.add();
  CHECK(bench.table.expired(bench.now + milliseconds(29999)) == nullptr);
  CHECK(bench.table.expired(bench.now + seconds(30)) == bench.table.find(sequence));
  bench.now += seconds(20);
  bench.table.heard(*bench.table.find(sequence), bench.now);
  CHECK(bench.table.expired(bench.now + milliseconds(29999)) == nullptr);
  CHECK(bench.table.expired(bench.now + seconds(30)) != nullptr);
}

TEST_CASE("request table: what was not taken goes out whole after the pause, then is asked after",
          "[unit]") {
  Bench bench;
  const auto sequence = bench.add();
  bench.table.again(*bench.table.find(sequence), bench.now, milliseconds(20));
  CHECK(bench.table.next_time() == bench.now + milliseconds(20));
  CHECK(bench.table.due(bench.now + milliseconds(19)).empty());
  const auto due = bench.table.due(bench.now + milliseconds(20));
  REQUIRE(due.size() == 1);
  CHECK(due[0].resend);
  bench.now = bench.table.next_time();
  const auto later = bench.table.due(bench.now);
  REQUIRE(later.size() == 1);
  CHECK_FALSE(later[0].resend);
}

TEST_CASE("request table: an empty one wants nothing", "[unit]") {
  const Bench bench;
  CHECK(bench.table.next_time() == kNever);
  CHECK(bench.table.size() == 0);
}

}  // namespace ps::worker
