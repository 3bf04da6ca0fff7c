#include "ops/config.h"

#include "ops/config_schema.h"
#include "ops/config_support.h"
#include "support/catch.h"

namespace ps::ops {
namespace {

using test::load;

TEST_CASE("config: defaults are in force when nothing is said", "[unit]") {
  const Config config = load({}).config;
  CHECK(config.job.name == "job");
  CHECK(config.job.seed == 1);
  CHECK(config.cluster.role == ProcessRole::kAlone);
  CHECK(config.cluster.workers == 1);
  CHECK(config.cluster.lifeline_fd == -1);
  CHECK(config.transport.credit_bytes == 33554432);
  CHECK(config.consistency.staleness == 2);
  CHECK_FALSE(config.optimizer.lr.has_value());
  CHECK(config.data.prefetch == 2);
  CHECK(config.request == Config::Request::kRun);
  CHECK(config.origins.empty());
}

TEST_CASE("config: a flag wins over a variable and a variable over the file", "[unit]") {
  const std::string file = "[job]\nseed = 2\nname = 'a'\n[cluster]\nworkers = 2\n";
  const auto config =
      load({.file = file,
            .environment = {{"PS_JOB_SEED", "3"}, {"PS_CLUSTER_WORKERS", "3"}, {"PATH", "/bin"}},
            .arguments = {"--job.seed=4"}})
          .config;
  CHECK(config.job.seed == 4);
  CHECK(config.cluster.workers == 3);
  CHECK(config.job.name == "a");
  CHECK(config.origins.at("job.seed") == "flag --job.seed");
  CHECK(config.origins.at("cluster.workers") == "environment PS_CLUSTER_WORKERS");
  CHECK(config.origins.at("job.name").starts_with("file "));
  CHECK(config.origins.at("job.name").ends_with("job.toml:3"));
}

TEST_CASE("config: what is not ours stays in rest, in order", "[unit]") {
  const auto loaded =
      load({.file = "[job]\nseed = 2\n",
            .arguments = {"data.bin", "--epochs", "3", "--cluster.workers", "2", "--train.lr=1",
                          "--observe.json", "x", "-v", "--job.name=a=b", "--print-config",
                          "--observe.json", "false", "--", "--job.seed=9", "--"}});
  CHECK(loaded.rest == std::vector<std::string>{"train", "data.bin", "--epochs", "3",
                                                "--train.lr=1", "x", "-v", "--", "--job.seed=9",
                                                "--"});
  CHECK(loaded.config.cluster.workers == 2);
  CHECK(loaded.config.job.seed == 2);
  CHECK(loaded.config.job.name == "a=b");
  CHECK_FALSE(loaded.config.observe.json);
  CHECK(loaded.config.request == Config::Request::kPrintConfig);
}

TEST_CASE("config: a boolean flag alone says true", "[unit]") {
  CHECK(load({.arguments = {"--observe.json"}}).config.observe.json);
  CHECK(load({.arguments = {"--optimizer.nesterov=true"}}).config.optimizer.nesterov == true);
  CHECK(load({.environment = {{"PS_OBSERVE_JSON", "1"}}}).config.observe.json);
}

TEST_CASE("config: the file may be named by a variable, and a flag names another", "[unit]") {
  const test::TemporaryDirectory directory;
  const auto path = directory.write("a.toml", "[job]\nname = 'from a'\n");
  CHECK(load({.environment = {{"PS_CONFIG", path}}}).config.job.name == "from a");
  CHECK(load({.environment = {{"PS_CONFIG", "/nowhere"}}, .arguments = {"--config=" + path}})
            .config.job.name == "from a");
}

TEST_CASE("config: parameter groups come from the file, in order", "[unit]") {
  const auto config = load({.file = "[optimizer]\nlr = 1\n[[optimizer.group]]\npattern='*.bias'\n"
                                    "weight_decay=0\n[[optimizer.group]]\nlr_scale=0.5\n"})
                          .config;
  CHECK(config.optimizer.lr == 1.0F);
  REQUIRE(config.optimizer.group.size() == 2);
  CHECK(config.optimizer.group[0].pattern == "*.bias");
  CHECK(config.optimizer.group[0].weight_decay == 0.0F);
  CHECK(config.optimizer.group[1].pattern == "*");
  CHECK(config.optimizer.group[1].lr_scale == 0.5F);
}

TEST_CASE("config: every value of every enumeration can be said, and is what the program sees",
          "[unit]") {
  for (const auto& key : config_keys()) {
    const auto* names = std::get_if<Names>(&key.rule);
    if (names == nullptr) continue;
    for (const auto name : names_of(*names)) {
      CAPTURE(key.name, name);
      Config config;
      REQUIRE(assign(key.slot(config), key.rule, std::string(name)));
      CHECK(to_toml(key.slot(config), key.rule) == quote_toml(name));
    }
  }
  CHECK(load({.arguments = {"--job.log_level", "off"}}).config.job.log_level == LogLevel::kOff);
  CHECK(load({.arguments = {"--transport.kind", "shm"}}).config.transport.kind ==
        TransportKind::kShm);
  CHECK(load({.arguments = {"--consistency.mode", "ssp"}}).config.consistency.mode ==
        ModeChoice::kSsp);
  CHECK(load({.arguments = {"--consistency.reduce", "sum"}}).config.consistency.reduce ==
        ReduceChoice::kSum);
  CHECK(load({.arguments = {"--optimizer.name", "adamw"}}).config.optimizer.name ==
        OptimizerChoice::kAdamw);
  CHECK(load({.arguments = {"--optimizer.schedule", "cosine"}}).config.optimizer.schedule ==
        ScheduleChoice::kCosine);
  CHECK(load({.arguments = {"--observe.progress", "off"}}).config.observe.progress ==
        ProgressMode::kOff);
}

TEST_CASE("config: the schema's rules fit the types, and every default obeys its rule", "[unit]") {
  Config defaults;
  for (const auto& key : config_keys()) {
    CAPTURE(key.name);
    const Slot slot = key.slot(defaults);
    CHECK_FALSE(key.help.empty());
    CHECK(std::holds_alternative<Names>(key.rule) == std::holds_alternative<Choice>(slot));
    CHECK(find_key(key.name) == &key);
    const auto value = to_toml(slot, key.rule);
    if (!value || value->starts_with('"')) continue;
    Config config;
    CHECK(assign(key.slot(config), key.rule, text_value(slot, *value)));
  }
}

TEST_CASE("config: timing follows the profile, and keys override it", "[unit]") {
  using std::chrono::milliseconds;
  ClusterConfig cluster;
  Timing times = timing(cluster);
  CHECK(times.heartbeat == milliseconds(500));
  CHECK(times.suspect == milliseconds(2000));
  CHECK(times.lease == milliseconds(3000));
  CHECK(times.retry == milliseconds(1000));
  CHECK(times.retry_cap == milliseconds(8000));
  CHECK(times.deadline == milliseconds(30000));
  cluster.profile = Profile::kFast;
  times = timing(cluster);
  CHECK(times.heartbeat == milliseconds(50));
  CHECK(times.suspect == milliseconds(200));
  CHECK(times.lease == milliseconds(400));
  CHECK(times.retry == milliseconds(200));
  CHECK(times.deadline == milliseconds(5000));
  cluster.heartbeat_ms = 150;
  cluster.deadline_ms = 900;
  times = timing(cluster);
  CHECK(times.heartbeat == milliseconds(150));
  CHECK(times.suspect == milliseconds(400));  // not later than the lease
  CHECK(times.deadline == milliseconds(900));
}

TEST_CASE("config: the process's environment is read whole", "[unit]") {
  const auto environment = Environment::from_process();
  CHECK_FALSE(environment.variables.empty());
  CHECK(environment.get("PATH").has_value());
  CHECK_FALSE(environment.get("PS_NO_SUCH_VARIABLE").has_value());
}

}  // namespace
}  // namespace ps::ops
