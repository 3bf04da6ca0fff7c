// Mistakes in a configuration: each names where it stands, the key, what was expected, and the
// nearest key.
#include "ops/config_support.h"
#include "support/catch.h"

namespace ps::ops {
namespace {

using test::load_error;

TEST_CASE("config errors: an unknown key in a file names the line and the nearest key", "[unit]") {
  CHECK(load_error({.file = "[job]\nseed = 1\n\n[consistency]\nmoode = 'ssp'\n"}) ==
        "job.toml:5: unknown key consistency.moode; did you mean consistency.mode?");
  CHECK(load_error({.file = "[optimizer]\nstaleness = 1\n"}) ==
        "job.toml:2: unknown key optimizer.staleness; did you mean consistency.staleness?");
  CHECK(load_error({.file = "[job]\nqqqqqqqqqqqqqqq = 1\n"}) ==
        "job.toml:2: unknown key job.qqqqqqqqqqqqqqq; --help-config lists all keys");
  CHECK(load_error({.file = "[[optimizer.group]]\npatern = 'x'\n"}) ==
        "job.toml:2: unknown key optimizer.group.patern; did you mean optimizer.group.pattern?");
}

TEST_CASE("config errors: an unknown section names the nearest one", "[unit]") {
  CHECK(load_error({.file = "\n[optimiser]\nlr = 1\n"}) ==
        "job.toml:2: unknown section [optimiser]; did you mean [optimizer]?");
  CHECK(load_error({.file = "[zzzzzzzzzzzz]\n"}) ==
        "job.toml:1: unknown section [zzzzzzzzzzzz]; expected [job] [cluster] [transport] "
        "[consistency] [compression] [optimizer] [data] [observe]");
  CHECK(load_error({.file = "seed = 1\n"}) ==
        "job.toml:1: unknown key seed; did you mean job.seed?");
  CHECK(load_error({.file = "job = 1\n"}) == "job.toml:1: job = 1: expected a section of keys");
}

TEST_CASE("config errors: a bad value in a file names the line and what was expected", "[unit]") {
  CHECK(load_error({.file = "[consistency]\nmode = 'fast'\n"}) ==
        "job.toml:2: consistency.mode = \"fast\": expected one of sync, async, ssp, local, "
        "easgd, allreduce");
  CHECK(load_error({.file = "[cluster]\nworkers = '4'\n"}) ==
        "job.toml:2: cluster.workers = \"4\": expected a whole number from 1 to 65536");
  CHECK(load_error({.file = "[cluster]\nworkers = 0\n"}) ==
        "job.toml:2: cluster.workers = 0: expected a whole number from 1 to 65536");
  CHECK(load_error({.file = "[cluster]\nworkers = 2.0\n"}) ==
        "job.toml:2: cluster.workers = 2.0: expected a whole number from 1 to 65536");
  CHECK(load_error({.file = "[job]\nseed = -1\n"}) ==
        "job.toml:2: job.seed = -1: expected a whole number from 0 up");
  CHECK(load_error({.file = "[observe]\njson = 'yes'\n"}) ==
        "job.toml:2: observe.json = \"yes\": expected true or false");
  CHECK(load_error({.file = "[job]\nname = 7\n"}) ==
        "job.toml:2: job.name = 7: expected text in UTF-8");
  CHECK(load_error({.file = "[job]\nname = ['a']\n"}) ==
        "job.toml:2: job.name = an array: expected text in UTF-8");
  CHECK(load_error({.file = "[job]\nname = 1979-05-27\n"}) ==
        "job.toml:2: job.name = 1979-05-27: expected text in UTF-8");
  CHECK(load_error({.file = "[optimizer]\nlr = 0.0\n"}) ==
        "job.toml:2: optimizer.lr = 0.0: expected a number > 0");
  CHECK(load_error({.file = "[optimizer]\nlr = inf\n"}) ==
        "job.toml:2: optimizer.lr = inf: expected a number > 0");
  CHECK(load_error({.file = "[optimizer]\nlr = nan\n"}) ==
        "job.toml:2: optimizer.lr = nan: expected a number > 0");
  CHECK(load_error({.file = "[optimizer]\nlr = 1e-60\n"}) ==
        "job.toml:2: optimizer.lr = 1e-60: expected a number > 0");
  CHECK(load_error({.file = "[optimizer]\nbeta1 = 1\n"}) ==
        "job.toml:2: optimizer.beta1 = 1: expected a number >= 0 and < 1");
  CHECK(load_error({.file = "[optimizer]\ngroup = [1]\n"}) ==
        "job.toml:2: optimizer.group = an array: expected tables, each begun by "
        "[[optimizer.group]]");
  CHECK(load_error({.file = "[[optimizer.group]]\nlr_scale = -1\n"}) ==
        "job.toml:2: optimizer.group.lr_scale = -1: expected a number >= 0");
}

TEST_CASE("config errors: a file that is not TOML, or not there", "[unit]") {
  CHECK_THAT(load_error({.file = "[job]\nseed = = 1\n"}),
             Catch::StartsWith("job.toml:2: not valid TOML: "));
  CHECK_THAT(load_error({.file = "[job]\nseed = 1\nseed = 2\n"}),
             Catch::StartsWith("job.toml:3: not valid TOML: "));
  CHECK(load_error({.arguments = {"--config", "/nowhere/job.toml"}}) ==
        "input/output error: the configuration file: cannot open job.toml: No such file or "
        "directory");
  CHECK_THAT(load_error({.arguments = {"--config", "/"}}),
             Catch::StartsWith("input/output error: the configuration file: cannot read"));
  CHECK(load_error({.arguments = {"--config"}}) ==
        "flag --config: nothing follows it: expected a TOML file");
}

TEST_CASE("config errors: a variable is named, with the nearest one", "[unit]") {
  CHECK(load_error({.environment = {{"PS_CLUSTER_WORKER", "2"}}}) ==
        "environment PS_CLUSTER_WORKER: no key has this variable; did you mean PS_CLUSTER_WORKERS "
        "(cluster.workers)?");
  CHECK(load_error({.environment = {{"PS_CLUSTER_WORKERS", "two"}}}) ==
        "environment PS_CLUSTER_WORKERS: cluster.workers = \"two\": expected a whole number from "
        "1 to 65536");
  CHECK(load_error({.environment = {{"PS_CLUSTER_WORKERS", ""}}}) ==
        "environment PS_CLUSTER_WORKERS: cluster.workers = \"\": expected a whole number from 1 "
        "to 65536");
  CHECK(load_error({.environment = {{"PS_JOB_NAME", "\xff"}}}).ends_with("expected text in UTF-8"));
  CHECK(load_error({.environment = {{"PS_ELSEWHERE", "1"}}}) == "none");
}

TEST_CASE("config errors: a flag is named, with the nearest key", "[unit]") {
  CHECK(load_error({.arguments = {"--consistency.mod=ssp"}}) ==
        "flag --consistency.mod: unknown key consistency.mod; did you mean consistency.mode?");
  CHECK(load_error({.arguments = {"--consistency.mode", "spp"}}) ==
        "flag --consistency.mode: consistency.mode = \"spp\": expected one of sync, async, ssp, "
        "local, easgd, allreduce");
  CHECK(load_error({.arguments = {"--job.seed"}}) ==
        "flag --job.seed: nothing follows it: expected a whole number from 0 up");
  CHECK(load_error({.arguments = {"--job.seed", "--observe.json"}}) ==
        "flag --job.seed: nothing follows it: expected a whole number from 0 up");
  CHECK(load_error({.arguments = {"--job.seed=12x"}}) ==
        "flag --job.seed: job.seed = \"12x\": expected a whole number from 0 up");
  CHECK(load_error({.arguments = {"--job.seed=9223372036854775808"}}) ==
        "flag --job.seed: job.seed = \"9223372036854775808\": expected a whole number from 0 up");
  CHECK(load_error({.arguments = {"--optimizer.group=x"}}) ==
        "flag --optimizer.group: unknown key optimizer.group; groups are given in the "
        "configuration file, as [[optimizer.group]]");
}

TEST_CASE("config errors: keys that contradict each other", "[unit]") {
  CHECK(load_error({.arguments = {"--cluster.role=worker", "--cluster.scheduler=tcp://h:1",
                                  "--cluster.index=2", "--cluster.workers=2"}}) ==
        "flag --cluster.index: cluster.index = 2: expected less than cluster.workers = 2");
  CHECK(load_error({.arguments = {"--cluster.role=server"}}) ==
        "default: cluster.scheduler = \"\": expected the scheduler's endpoint, such as "
        "tcp://10.0.0.1:4000, in a server or worker");
  CHECK(load_error({.arguments = {"--cluster.job_id=12"}}) ==
        "flag --cluster.job_id: cluster.job_id = \"12\": expected 32 hexadecimal digits");
  CHECK(load_error({.arguments = {"--cluster.role=scheduler", "--transport.kind=inproc"}}) ==
        "flag --transport.kind: transport.kind = \"inproc\": expected ipc, tcp or shm: this "
        "process is one of many (cluster.role)");
  CHECK(load_error({.arguments = {"--cluster.heartbeat_ms=2000"}}) ==
        "cluster.lease_ms: the lease is 3000 ms and a heartbeat comes every 2000 ms: expected a "
        "lease of at least two heartbeats (cluster.heartbeat_ms)");
  CHECK(load_error({.arguments = {"--cluster.deadline_ms=10"}}) ==
        "cluster.deadline_ms: a request's deadline is 10 ms and its first retry comes after 1000 "
        "ms: expected a deadline that is not the shorter one (cluster.retry_ms)");
}

}  // namespace
}  // namespace ps::ops
