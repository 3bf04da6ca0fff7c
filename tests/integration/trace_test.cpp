// What a job's processes record of themselves, as a viewer would read it.
#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "integration/process.h"
#include "ops/temporary_directory.h"
#include "support/catch.h"

namespace ps {
namespace {

using Catch::Contains;
using nlohmann::json;
using test::Process;
using test::TemporaryDirectory;

constexpr int kSteps = 400;  // of the example

std::vector<json> events_of(const std::string& path) {
  std::ifstream file(path);
  const json all = json::parse(file);
  return {all.begin(), all.end()};
}

void run(const std::vector<std::string>& command) {
  Process process(command);
  const int code = process.wait(std::chrono::seconds(100));
  INFO(process.out << process.err);
  REQUIRE(code == 0);
}

std::size_t count(const std::vector<json>& events,
                  const std::string& phase,
                  const std::string& name) {
  return static_cast<std::size_t>(std::ranges::count_if(
      events, [&](const json& event) { return event["ph"] == phase && event["name"] == name; }));
}

std::multiset<std::string> ids(const std::vector<json>& events, const std::string& phase) {
  std::multiset<std::string> found;
  for (const json& event : events) {
    if (event["ph"] == phase) found.insert(event["id"].get<std::string>());
  }
  return found;
}

// Names of processes or threads.
std::multiset<std::string> names(const std::vector<json>& events, const std::string& what) {
  std::multiset<std::string> found;
  for (const json& event : events) {
    if (event["name"] == what) found.insert(event["args"]["name"].get<std::string>());
  }
  return found;
}

// Bars of one thread lie in each other or beside each other.
void check_nesting(const std::vector<json>& events) {
  std::map<std::pair<int, int>, std::vector<std::pair<double, double>>> rows;
  for (const json& event : events) {
    if (event["ph"] != "X") continue;
    const double begin = event["ts"];
    rows[{event["pid"], event["tid"]}].emplace_back(begin, -(begin + event["dur"].get<double>()));
  }
  CHECK(rows.size() >= 3);
  for (auto& [row, bars] : rows) {
    std::ranges::sort(bars);  // the longer of those that begin together first
    std::vector<double> open;
    for (const auto& [begin, minus_end] : bars) {
      while (!open.empty() && open.back() <= begin) open.pop_back();
      if (!open.empty()) REQUIRE(-minus_end <= open.back() + 0.0011);
      open.push_back(-minus_end);
    }
  }
}

TEST_CASE("trace: a job's processes tell in one file what each does when", "[integration]") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("trace.json", "what an earlier job left");
  run({PS_PSRUN, "-n", "2", "-s", "2", "--trace", path, "--", PS_CUSTOM_RULE});
  const std::vector<json> events = events_of(path);
  CHECK(names(events, "process_name") ==
        std::multiset<std::string>{"scheduler", "server 0", "server 1", "worker 0", "worker 1"});
  const auto threads = names(events, "thread_name");
  CHECK(threads.count("program") == 2);
  CHECK(threads.count("communication") == 2);
  CHECK(threads.count("shard 0") == 1);

  CHECK(count(events, "i", "step") == 2 * kSteps);
  CHECK(count(events, "X", "update") == kSteps);
  CHECK(count(events, "X", "wait") >= 2 * kSteps);
  CHECK(count(events, "X", "reply") >= 2 * kSteps);
  const auto begun = ids(events, "b");
  CHECK(begun.size() >= 2 * kSteps);
  CHECK(begun == ids(events, "e"));
  // An arrow per message that has come, from another process.
  CHECK(ids(events, "s") == ids(events, "f"));
  check_nesting(events);
}

TEST_CASE("trace: a process alone closes its file itself", "[integration]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("trace.json");
  run({PS_CUSTOM_RULE, "--observe.trace", path});
  const std::vector<json> events = events_of(path);
  CHECK(count(events, "X", "update") == kSteps);
  CHECK(names(events, "thread_name") ==
        std::multiset<std::string>{"communication", "program", "scheduler", "shard 0"});
}

TEST_CASE("trace: a file that cannot be written is told before the job begins", "[integration]") {
  Process process({PS_PSRUN, "--trace", "/nowhere/trace.json", "--", PS_CUSTOM_RULE});
  CHECK(process.wait() != 0);
  CHECK_THAT(process.err, Contains("cannot write the trace /nowhere/trace.json (observe.trace)"));
}

}  // namespace
}  // namespace ps
