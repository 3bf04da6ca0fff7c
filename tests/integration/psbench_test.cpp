// psbench's measurements as its users run them, too small and too short to mean anything: that they
// measure, that what they print can be read, and that pushpull notices a broken step.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "integration/process.h"
#include "support/catch.h"

namespace ps {
namespace {

using Catch::Contains;
using nlohmann::json;
using test::Process;
using Words = std::vector<std::string>;

constexpr std::chrono::seconds kPatience{100};

// Runs psbench to its good end; its last line.
json measure(Words arguments) {
  arguments.insert(arguments.begin(), PS_PSBENCH);
  arguments.insert(arguments.end(), {"--seconds", "0.2", "--json"});
  Process process(arguments);
  const int code = process.wait(kPatience);
  INFO(process.out << process.err);
  REQUIRE(code == 0);
  const std::size_t end = process.out.find_last_not_of('\n');
  return json::parse(process.out.substr(process.out.rfind('\n', end) + 1));
}

void check_score(const json& line) {
  INFO(line.dump());
  for (const char* field : {"goodput", "limit", "ratio"}) CHECK(line.at(field).get<double>() > 0.0);
  CHECK(line.at("unit") == "GB/s");
}

void check_pushpull(const json& line) {
  check_score(line);
  CHECK(line.at("steps").get<int>() > 3);
  CHECK(line.at("hash").get<std::string>().size() == 16);
  CHECK(line.at("step").at("p99_us").get<double>() >= line.at("step").at("p50_us").get<double>());
  for (const char* way : {"memcpy", "tcp", "unix", "zmq_tcp", "zmq_ipc", "shm"}) {
    CHECK(line.at("raw").at(way).at("gb_per_s").get<double>() > 0.0);
    CHECK(line.at("raw").at(way).at("p90_us").get<double>() > 0.0);
  }
}

TEST_CASE("psbench pushpull: measures a step over every transport, and its raw limits",
          "[integration]") {
  const std::string transport = GENERATE("inproc", "ipc", "tcp", "shm");
  const json line = measure({"pushpull", "--transport", transport, "--bytes", "300KiB"});
  check_pushpull(line);
  CHECK(line.at("transport") == transport);
  CHECK(line.at("bytes") == 300 * 1024);
  CHECK(line.at("frame_bytes") == 64 * 1024);
}

TEST_CASE("psbench pushpull: several workers and servers give the weights of the workers' mean",
          "[integration]") {
  const std::string transport = GENERATE("inproc", "shm");
  const json line = measure({"pushpull", "--transport", transport, "--bytes", "4KiB", "--workers",
                             "3", "--servers", "2"});
  check_pushpull(line);
  CHECK(line.at("workers") == 3);
  CHECK(line.at("servers") == 2);
}

TEST_CASE("psbench pushpull: fails where the weights are not those of its steps", "[integration]") {
  // Configuration goes before what the program says: the servers now use another rate than it.
  Process process({PS_PSBENCH, "pushpull", "--bytes", "4KiB", "--seconds", "0.1", "--json"},
                  {"PS_OPTIMIZER_LR=0.5"});
  CHECK(process.wait(kPatience) != 0);
  CHECK_THAT(process.out + process.err, Contains("steps of SGD have"));
  CHECK_THAT(process.out, !Contains("goodput"));
}

TEST_CASE("psbench update: rates each rule and number of workers by y += x", "[integration]") {
  const json line = measure({"update", "--bytes", "64KiB"});
  check_score(line);
  REQUIRE(line.at("rows").size() == 6);
  for (const json& row : line.at("rows")) {
    const int states = row.at("rule") == "adam" ? 2 : 1;
    CHECK(row.at("bytes_per_element") == 4 * row.at("workers").get<int>() + 8 + 8 * states);
    CHECK(row.at("ratio").get<double>() >= line.at("ratio").get<double>());
  }
  CHECK(measure({"update", "--bytes", "64KiB", "--rule", "all", "--workers", "2", "--in-place"})
            .at("rows")
            .size() == 12);
}

TEST_CASE("psbench codec: rates every codec by memcpy", "[integration]") {
  const json line = measure({"codec", "--bytes", "64KiB"});
  check_score(line);
  CHECK(line.at("rows").size() == 30);
  for (const json& row : line.at("rows")) CHECK(row.at("ratio").get<double>() > 0.0);
}

TEST_CASE("psbench: says what it measures and what limits it", "[integration]") {
  Process process({PS_PSBENCH, "--help"});
  CHECK(process.wait(kPatience) == 0);
  for (const char* word : {"pushpull", "update", "codec", "y += x", "memcpy", "Its limit is"}) {
    CHECK_THAT(process.out, Contains(word));
  }
}

}  // namespace
}  // namespace ps
