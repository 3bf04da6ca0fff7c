#include <regex>

#include "ops/config_schema.h"
#include "ops/config_support.h"
#include "support/catch.h"

namespace ps::ops {
namespace {

using test::load;

const char* const kFullFile = R"([job]
name = "a \"b\" \\ c\n\u0001 \u00e9"
seed = 9223372036854775807
log_level = "debug"
[cluster]
role = "worker"
index = 3
workers = 4
servers = 2
shards = 2
scheduler = "ipc:///tmp/s"
job_id = "00112233445566778899aabbccddeeff"
profile = "fast"
heartbeat_ms = 60
lease_ms = 500
retry_ms = 70
deadline_ms = 800
wait_ms = 900
lifeline_fd = 3
report_fd = 4
[transport]
kind = "shm"
directory = "/tmp/d"
host = "::1"
allow_insecure_network = true
credit_bytes = 70000
chunk_bytes = 65536
[consistency]
mode = "ssp"
staleness = 5
staleness_aware = true
backup_workers = 1
max_staleness = 6
compensation = "adaptive"
lambda = 0.5
decay = 0.75
pushes_per_update = 3
steps = 12
average_state = true
start_samples = 900
period = 7
alpha = 0.25
reduce = "sum"
finite = "step"
[compression]
push = "int8-stochastic"
pull = "bf16"
top = 0.125
[optimizer]
name = "adam"
lr = 1e-5
momentum = 0.9
nesterov = true
weight_decay = 0.1
beta1 = 0.8
beta2 = 0.95
epsilon = 1e-7
alpha = 0.5
eta = 0.002
beta = 2.0
l1 = 0.1
l2 = 0.2
clip_norm = 5.0
update = "worker"
ema_decay = 0.99
ema_tau = 100.0
schedule = "cosine"
warmup_samples = 10
warmup_start = 0.25
total_samples = 1000
step_samples = 7
step_gamma = 0.3
final_factor = 0.01
epoch_samples = 50
decay_from_start = true
warmup_power = 2
warmup_momentum = 0.5
[[optimizer.group]]
pattern = "*.bias"
lr_scale = 2.0
weight_decay = 0.0
warmup_start = 10.0
[[optimizer.group]]
pattern = "fc?"
[data]
path = "/data"
prefetch = 0
[observe]
progress = "plain"
json = true
trace = "trace.json"
measure = true
)";

// Every key's value, without where it came from.
std::vector<std::string> values_of(Config config) {
  std::vector<std::string> values;
  for (const auto& key : config_keys()) {
    values.push_back(std::string(key.name) + " = " +
                     to_toml(key.slot(config), key.rule).value_or("-"));
  }
  for (auto& group : config.optimizer.group) {
    for (const auto& key : group_keys()) {
      values.push_back(to_toml(key.slot(group), key.rule).value_or("-"));
    }
  }
  return values;
}

TEST_CASE("config print: what is printed reads back to the same values", "[unit]") {
  const std::string file = GENERATE(std::string(), std::string(kFullFile),
                                    std::string("[optimizer]\nlr = 0.3333333432674408\n"));
  const Config config = load({.file = file}).config;
  const std::string printed = print_config(config);
  CAPTURE(printed);
  const Config again = load({.file = printed}).config;
  CHECK(values_of(again) == values_of(config));
  CHECK(values_of(load({.file = print_config(again)}).config) == values_of(config));
}

TEST_CASE("config print: the full file sets every key to another value than the default",
          "[unit]") {
  Config full = load({.file = kFullFile}).config;
  Config defaults;
  for (const auto& key : config_keys()) {
    CAPTURE(key.name);
    CHECK(full.is_set(key.name));
    CHECK(to_toml(key.slot(full), key.rule) != to_toml(key.slot(defaults), key.rule));
  }
}

TEST_CASE("config print: each line says where its value came from", "[unit]") {
  const std::string printed = print_config(load({.file = "[job]\n\nseed = 7\n",
                                                 .environment = {{"PS_CLUSTER_WORKERS", "2"}},
                                                 .arguments = {"--consistency.mode=async"}})
                                               .config);
  // The gap before the comments is a matter of looks.
  const std::string lines = std::regex_replace(printed, std::regex(" +#"), " #");
  CHECK_THAT(lines, Catch::Contains("/job.toml:3\n") && Catch::Contains("\nseed = 7 # file "));
  CHECK_THAT(lines, Catch::Contains("\nname = \"job\" # default\n"));
  CHECK_THAT(lines, Catch::Contains("\nworkers = 2 # environment PS_CLUSTER_WORKERS\n"));
  CHECK_THAT(lines, Catch::Contains("\nmode = \"async\" # flag --consistency.mode\n"));
  CHECK_THAT(lines, Catch::Contains("\n# lr = # the program's\n"));
}

TEST_CASE("config print: a file of any name keeps the output TOML", "[unit]") {
  Config config;
  config.origins["job.seed"] = "file a\nseed = 8\xff.toml:1";
  CHECK(load({.file = print_config(config)}).config.job.seed == 1);
}

TEST_CASE("config help: names every key, its values, its default and its meaning", "[unit]") {
  const std::string help = help_config();
  for (const auto& key : config_keys()) {
    CAPTURE(key.name);
    CHECK_THAT(help, Catch::Contains("--" + std::string(key.name) + "  ("));
    CHECK_THAT(help, Catch::Contains(std::string(key.help)));
  }
  CHECK_THAT(
      help,
      Catch::Contains("--consistency.mode  (sync|async|ssp|local|easgd|allreduce; default: \"\")"));
  CHECK_THAT(help, Catch::Contains("--optimizer.lr  (a number > 0; default: the program's)"));
  CHECK_THAT(help, Catch::Contains("lr_scale  (a number >= 0; default: 1.0)"));
  for (std::size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = help.find('\n', begin);
    CHECK(help.substr(begin, end - begin).size() <= 120);
  }
}

}  // namespace
}  // namespace ps::ops
