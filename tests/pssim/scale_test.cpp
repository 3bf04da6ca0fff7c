// pssim scale as its users run it.
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

Words scale(Words arguments) {
  arguments.insert(arguments.begin(), {PS_PSSIM, "scale"});
  return arguments;
}

}  // namespace

TEST_CASE("pssim scale: prints a table for people, and a last line of JSON", "[pssim]") {
  const std::string mode = GENERATE("bsp", "asp", "ssp:2");
  Process process(scale({"--workers", "8", "--shards", "2", "--steps", "60", "--mode", mode,
                         "--compute", "lognormal:0.3", "--json"}));
  REQUIRE(process.wait(kPatience) == 0);
  CHECK(process.err.empty());
  CHECK_THAT(process.out, Contains("throughput") && Contains("closed forms"));
  const std::size_t end = process.out.find_last_not_of('\n');
  const json line = json::parse(process.out.substr(process.out.rfind('\n', end) + 1));
  INFO(line.dump());
  for (const char* field : {"throughput", "limit", "ratio", "step_time", "events_per_second"})
    CHECK(line.at(field).get<double>() > 0.0);
  CHECK(line.at("ratio").get<double>() <= 1.05);
  CHECK(line.at("closed_form").at("least_step").get<double>() > 0.1);
  CHECK(line.at("closed_form").contains("pipelined_step") == (mode == "bsp"));
}

TEST_CASE("pssim scale: says what it cannot read, and exits with 2", "[pssim]") {
  const auto [flag, value, expected] = GENERATE(
      table<std::string, std::string, std::string>({{"--mode", "ssp", "ssp:2"},
                                                    {"--link", "fast", "25G"},
                                                    {"--shard-link", "1", "--shard-link is '1'"},
                                                    {"--compute", "normal", "lognormal:0.3"},
                                                    {"--model", "yolov9", "yolov5n"}}));
  Process process(scale({flag, value}));
  CHECK(process.wait(kPatience) == 2);
  CHECK_THAT(process.err, Contains(value) && Contains(expected));
  CHECK(process.out.empty());
}

TEST_CASE("pssim scale: refuses numbers out of range and flags it does not know", "[pssim]") {
  const auto arguments = GENERATE(values<Words>({{"--workers", "0"},
                                                 {"--steps", "0"},
                                                 {"--shards", "x"},
                                                 {"--memory", "-1"},
                                                 {"--wrokers", "4"}}));
  Process process(scale(arguments));
  CHECK(process.wait(kPatience) > 100);
  CHECK_THAT(process.out + process.err, Contains(arguments.front()));
}

TEST_CASE("pssim: its help says what is simulated and what is not", "[pssim]") {
  Process process(Words{PS_PSSIM, "--help"});
  CHECK(process.wait(kPatience) == 0);
  CHECK_THAT(process.out,
             Contains("server/round") && Contains("Exit codes") && Contains("Examples"));
}

}  // namespace ps
