// psrun with shell scripts that play a ps program: each looks at its environment for its role, the
// scheduler reports an endpoint, and `read` on the lifeline ends when psrun is gone.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>

#include "integration/process.h"
#include "integration/witness.h"
#include "ops/temporary_directory.h"
#include "support/catch.h"

namespace ps {
namespace {

using Catch::Contains;
using test::Process;
using test::TemporaryDirectory;
using test::Witness;

// What all scripts begin with.
const std::string kPrelude = R"(
me="$PS_CLUSTER_ROLE $PS_CLUSTER_INDEX"
report() { echo "tcp://127.0.0.1:7" >&$PS_CLUSTER_REPORT_FD; }
# Until psrun is gone; 5 as a ps program would.
hold() { read -r line <&$PS_CLUSTER_LIFELINE_FD; exit 5; }
# One process waits for another of the job.
ready() { touch $PS_TRANSPORT_DIRECTORY/ready; }
await_ready() { until [ -f $PS_TRANSPORT_DIRECTORY/ready ]; do :; done; }
)";

std::vector<std::string> psrun(std::vector<std::string> flags, const std::string& script) {
  std::vector<std::string> arguments{PS_PSRUN};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  arguments.insert(arguments.end(), {"--", "sh", "-c", kPrelude + script});
  return arguments;
}

// A job whose scheduler and servers end at once with 0, and whose workers do what `script` says.
std::string workers(const std::string& script) {
  return "case $PS_CLUSTER_ROLE in scheduler) report;; server) ;; worker)\n" + script + "\n;; esac";
}

// A job whose scheduler and servers, and workers other than 0, hold on for ever.
std::string others_hold(const std::string& script) {
  return "[ $PS_CLUSTER_ROLE = scheduler ] && report\n[ \"$me\" = 'worker 0' ] || hold\n" + script;
}

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of('\n');
  const std::size_t begin = text.rfind('\n', end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1,
                     end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST_CASE("psrun: starts every role once, and each finds its place in its environment",
          "[integration]") {
  Process job(psrun({"-n", "3", "-s", "2", "--transport", "tcp"},
                    "[ $PS_CLUSTER_ROLE = scheduler ] && report\n"
                    "echo \"$me of $PS_CLUSTER_WORKERS/$PS_CLUSTER_SERVERS"
                    " via $PS_TRANSPORT_KIND at ${PS_CLUSTER_SCHEDULER:-mine}"
                    " ${#PS_CLUSTER_JOB_ID} $PS_OBSERVE_PROGRESS"
                    " $(stat -c %a $PS_TRANSPORT_DIRECTORY) $(cat | wc -c)\""));
  CHECK(job.wait() == 0);
  CHECK_THAT(job.out, Contains("scheduler | scheduler 0 of 3/2 via tcp at mine 32 off 700 0\n"));
  for (const auto* name : {"server 0 ", "server 1 ", "worker 1 ", "worker 2 "}) {
    const std::string process = name;
    CHECK_THAT(job.out, Contains(process + " | " + process +
                                 "of 3/2 via tcp at tcp://127.0.0.1:7 32 off 700 0\n"));
  }
  CHECK_THAT(job.out, Contains("worker 0 of 3/2 via tcp at tcp://127.0.0.1:7 32 plain 700 0\n"));
  CHECK(count(job.out, "\n") == 6);
  CHECK(job.err.empty());
}

TEST_CASE("psrun: the configuration file and the user's variables are taken into account",
          "[integration]") {
  const TemporaryDirectory directory;
  const auto file = directory.write(
      "job.toml", "[cluster]\nworkers = 2\nservers = 3\n[transport]\nkind = 'shm'\n");
  const std::string script =
      "[ $PS_CLUSTER_ROLE = scheduler ] && report\n"
      "echo \"$me $PS_TRANSPORT_KIND $PS_CONFIG $PS_OBSERVE_PROGRESS $PS_JOB_SEED\"";
  Process job(psrun({"--config", file, "-s", "1"}, script),
              {"PS_OBSERVE_PROGRESS=plain", "PS_JOB_SEED=9"});
  CHECK(job.wait() == 0);
  CHECK(count(job.out, "\n") == 4);
  CHECK(count(job.out, " shm " + file + " plain 9\n") == 4);

  Process wrong(psrun({"--config", directory.write("b.toml", "[cluster]\nworker = 2\n")}, script));
  CHECK(wrong.wait() == 2);
  CHECK_THAT(wrong.err, Contains("b.toml:2: unknown key cluster.worker; did you mean "
                                 "cluster.workers?"));
}

TEST_CASE("psrun: worker 0's last JSON line comes last and bare", "[integration]") {
  Process job(psrun({"-n", "2"}, workers("if [ $PS_CLUSTER_INDEX = 0 ]; then echo '{\"a\": 1}';"
                                         "echo text; echo ' {\"a\": 2}'; else echo '{\"a\": 3}';"
                                         "fi; echo no newline >&2; printf end >&2")));
  CHECK(job.wait() == 0);
  CHECK(last_line(job.out) == "{\"a\": 2}");
  CHECK_THAT(job.out, Contains("worker 0  | {\"a\": 1}\nworker 0  | text\n") ||
                          Contains("worker 0  | {\"a\": 1}\n"));
  CHECK_THAT(job.out, Contains("worker 1  | {\"a\": 3}\n"));
  CHECK(count(job.out, "{\"a\": 2}") == 1);
  CHECK_THAT(job.err, Contains("worker 0  | no newline\n") && Contains("worker 0  | end\n"));

  Process after(psrun({}, workers("echo '{\"a\": 1}'; echo bye")));
  CHECK(after.wait() == 0);
  CHECK(after.out == "worker 0  | {\"a\": 1}\nworker 0  | bye\n{\"a\": 1}\n");
}

TEST_CASE("psrun: marks are coloured when asked, and NO_COLOR is heeded", "[integration]") {
  const std::string script = workers("printf 'a\\r\\nb\\rc\\n'");
  Process coloured(psrun({"--color", "always"}, script));
  CHECK(coloured.wait() == 0);
  CHECK(coloured.out ==
        "\x1b[33mworker 0  | \x1b[0ma\n\x1b[33mworker 0  | \x1b[0m"
        "c\n");
  Process plain(psrun({}, script), {"NO_COLOR=1"});
  CHECK(plain.wait() == 0);
  CHECK(plain.out == "worker 0  | a\nworker 0  | c\n");
}

TEST_CASE("psrun: worker 0's progress is one live line on a terminal, below the others",
          "[integration]") {
  const TemporaryDirectory directory;
  const auto wait_for_go = [&](const std::string& worker) {
    REQUIRE(mkfifo(directory.file(worker).c_str(), 0600) == 0);
    return "read -r go <" + directory.file(worker) + "\n";
  };
  const auto go = [&](const std::string& worker) { std::ofstream(directory.file(worker)) << "\n"; };
  const auto shown = [](const std::string& text) {
    return [text](const Process& job) { return count(job.err, text) == 1; };
  };
  Process job(
      psrun({"-n", "2"},
            workers("if [ \"$me\" = 'worker 1' ]; then\n" + wait_for_go("1") +
                    "echo hello >&2; exit; fi\n"
                    "printf '%s, a long line of progress\\033[K\\r' $PS_OBSERVE_PROGRESS >&2\n" +
                    wait_for_go("0") + "printf 'done\\033[K\\n' >&2")),
      {"NO_COLOR=1"}, 25);
  const std::string live = "worker 0  | live, a lon…\r";  // 24 columns
  job.read_until(shown(live));
  go("1");
  job.read_until(shown("\r\x1b[Kworker 1  | hello\r\n" + live));
  go("0");
  CHECK(job.wait() == 0);
  CHECK_THAT(job.err, Catch::EndsWith("\r\x1b[Kworker 0  | done\r\n"));
}

TEST_CASE("psrun: the first failure's code is psrun's, and the others are ended", "[integration]") {
  const Witness witness;
  Process job(psrun({"-n", "2", "--grace", "0.1"}, witness.hold() + others_hold("exit 3")));
  CHECK(job.wait() == 3);
  CHECK_THAT(job.err, Contains("psrun: worker 0 failed: exit code 3; stopping the others\n"));
  CHECK_THAT(job.err, Contains("psrun: scheduler, server 0, worker 1 did not end within 0.1 s: "
                               "SIGTERM\n"));
  CHECK(witness.all_gone());
}

TEST_CASE("psrun: a killed child ends the job, and one that ignores SIGTERM is killed",
          "[integration]") {
  const Witness witness;
  const std::string stubborn = "[ $PS_CLUSTER_ROLE = server ] && { trap '' TERM; ready; }\n";
  Process job(psrun({"--grace", "0"},
                    witness.hold() + stubborn + others_hold("await_ready; kill -KILL $$")));
  CHECK(job.wait() == 128 + SIGKILL);
  CHECK_THAT(job.err, Contains("psrun: worker 0 failed: signal SIGKILL; stopping the others\n"));
  CHECK_THAT(job.err, Contains("server 0 did not end within 2 s of SIGTERM: SIGKILL\n"));
  CHECK(witness.all_gone());
}

TEST_CASE("psrun: a stopped process does not outlive the job", "[integration]") {
  const Witness witness;
  const std::string script = R"(
pid=$PS_TRANSPORT_DIRECTORY/pid
[ "$me" = 'worker 1' ] && { echo $$ >$pid.new; mv $pid.new $pid; kill -STOP $$; }
)" + others_hold(R"(
until [ -f $pid ]; do :; done
until grep -q 'State:.T' /proc/$(cat $pid)/status; do :; done
exit 4)");
  Process job(psrun({"-n", "2", "--grace", "0"}, witness.hold() + script));
  CHECK(job.wait() == 4);
  CHECK_THAT(job.err, Contains("worker 1 did not end within 2 s of SIGTERM: SIGKILL\n"));
  CHECK(witness.all_gone());
}

TEST_CASE("psrun: what a wrapper leaves behind is ended with it", "[integration]") {
  const Witness witness;
  // A shell of its own that holds on, started in the background by a shell that ends with 0.
  Process job(psrun({}, workers(witness.hold() + "sh -c 'trap \"\" TERM INT; read x <&3' & true")));
  CHECK(job.wait() == 0);
  CHECK(witness.all_gone());
}

TEST_CASE("psrun: a wrapper's children are ended by the group", "[integration]") {
  const Witness witness;
  const std::string script = R"(
[ $PS_CLUSTER_ROLE = scheduler ] && report
[ "$me" = 'worker 0' ] && { await_ready; exit 6; }
[ "$me" = 'worker 1' ] || hold
sh -c 'touch $PS_TRANSPORT_DIRECTORY/ready; read x <&3'; true)";
  Process job(psrun({"-n", "2", "--grace", "0"}, witness.hold() + script));
  CHECK(job.wait() == 6);
  CHECK(witness.all_gone());
}

TEST_CASE("psrun: its children see its own violent end", "[integration]") {
  const Witness witness;
  Process job(psrun({"-n", "2", "-s", "2"}, witness.hold() +
                                                "[ $PS_CLUSTER_ROLE = scheduler ] && report\n"
                                                "echo up\nhold"));
  job.read_until([](const Process& p) { return count(p.out, "up\n") == 5; });
  CHECK_FALSE(witness.all_gone(0));
  job.kill(SIGKILL);
  CHECK(job.wait() == 128 + SIGKILL);
  CHECK(witness.all_gone());
}

TEST_CASE("psrun: SIGINT and SIGTERM are passed on, and a second one kills", "[integration]") {
  const int signal = GENERATE(SIGINT, SIGTERM);
  const std::string name = signal == SIGINT ? "INT" : "TERM";
  const Witness witness;
  Process polite(psrun({}, witness.hold() + "trap 'echo got it; exit 0' " + name + "\n" +
                               "[ $PS_CLUSTER_ROLE = scheduler ] && report\n"
                               "echo up\nhold"));
  polite.read_until([](const Process& p) { return count(p.out, "up\n") == 3; });
  polite.kill(signal);
  CHECK(polite.wait() == 128 + signal);
  CHECK(count(polite.out, "got it\n") == 3);
  CHECK(witness.all_gone());

  Process stubborn(psrun({"--grace", "600"}, witness.hold() +
                                                 "trap '' INT TERM\n"
                                                 "[ $PS_CLUSTER_ROLE = scheduler ] && report\n"
                                                 "echo up\nhold"));
  stubborn.read_until([](const Process& p) { return count(p.out, "up\n") == 3; });
  stubborn.kill(signal);
  stubborn.read_until([](const Process& p) { return count(p.err, "ending the job") == 1; });
  stubborn.kill(signal);
  CHECK(stubborn.wait() == 128 + signal);
  CHECK(witness.all_gone());
}

TEST_CASE("psrun: servers must end after the last worker", "[integration]") {
  Process job(psrun({"--grace", "0.1"},
                    "[ $PS_CLUSTER_ROLE = scheduler ] && report\n"
                    "[ $PS_CLUSTER_ROLE = server ] && hold\ntrue"));
  CHECK(job.wait() == 1);
  CHECK_THAT(job.err,
             Contains("psrun: server 0 did not end within 0.1 s of the last worker's end"));
}

TEST_CASE("psrun: a scheduler that reports nothing is told from one that fails", "[integration]") {
  Process silent({PS_PSRUN, "--", "true"});
  CHECK(silent.wait() == 1);
  CHECK_THAT(silent.err, Contains("the scheduler ended before it reported its endpoint: is true a "
                                  "ps program"));
  Process failing(psrun({}, "exit 9"));
  CHECK(failing.wait() == 9);
  CHECK_THAT(failing.err, Contains("psrun: scheduler failed: exit code 9\n"));
  Process closing(psrun({"--grace", "0.1"}, "exec 4>&-; hold"));
  CHECK(closing.wait() == 1);
  CHECK_THAT(closing.err, Contains("closed its report descriptor without an endpoint"));
}

TEST_CASE("psrun: --kill-after ends a job that hangs", "[integration]") {
  Process job(psrun({"--kill-after", "0.2"}, others_hold("hold")));
  CHECK(job.wait() == 124);
  CHECK_THAT(job.err, Contains("psrun: the job still ran after 0.2 s; stopping the others\n"));
}

TEST_CASE("psrun: a reader that leaves ends the job", "[integration]") {
  Process job({"sh", "-c", "$0 -- sh -c \"$1\" | head -n 1; echo done", PS_PSRUN,
               kPrelude + workers("while echo line; do :; done")});
  CHECK(job.wait() == 0);
  CHECK(job.out == "worker 0  | line\ndone\n");
}

TEST_CASE("psrun: removes its directory", "[integration]") {
  const TemporaryDirectory parent;
  Process job(psrun({}, workers("touch $PS_TRANSPORT_DIRECTORY/socket; echo "
                                "$PS_TRANSPORT_DIRECTORY")),
              {"XDG_RUNTIME_DIR=" + parent.path()});
  CHECK(job.wait() == 0);
  CHECK_THAT(job.out, Contains(parent.path() + "/psrun."));
  CHECK(std::filesystem::is_empty(parent.path()));
}

TEST_CASE("psrun: bad usage and programs that are not there have codes of their own",
          "[integration]") {
  const auto run = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), PS_PSRUN);
    Process process(arguments);
    const int code = process.wait();
    return std::to_string(code) + ": " + process.err;
  };
  CHECK_THAT(run({}), Contains("2: psrun: expected -- and the program to run"));
  CHECK_THAT(run({"-n", "2", "--"}), Contains("2: psrun: expected -- and the program to run"));
  CHECK_THAT(run({"-n", "0", "--", "true"}), Contains("2: psrun: --workers"));
  CHECK_THAT(run({"--wrong", "--", "true"}), Contains("2: psrun: ") && Contains("--wrong"));
  CHECK_THAT(run({"--", "./no-such-program"}),
             Contains("127: psrun: cannot start: ./no-such-program: No such file or directory"));
  CHECK_THAT(run({"--", "/"}), Contains("126: psrun: cannot start: /: Permission denied"));
  CHECK_THAT(run({"--help"}), Contains("0: "));
}

TEST_CASE("psrun: --print-config, its own or the program's, prints and starts no job",
          "[integration]") {
  Process own({PS_PSRUN, "-n", "3", "--print-config"}, {"PS_JOB_SEED=9"});
  CHECK(own.wait() == 0);
  CHECK_THAT(own.out, Contains("workers = 3") && Contains("environment PS_JOB_SEED"));
  Process programs(
      {PS_PSRUN, "-n", "3", "-s", "2", "--", PS_ENDLESS, "--job.seed=4", "--print-config"});
  CHECK(programs.wait() == 0);
  CHECK_THAT(programs.out, Contains("role = \"worker\"") && Contains("workers = 3") &&
                               Contains("flag --job.seed"));
}

TEST_CASE("psrun: a rule of the program's own is applied by the servers, in every mode",
          "[integration]") {
  const std::string mode = GENERATE("sync", "async", "local");
  Process job({PS_PSRUN, "-n", "2", "-s", "2", "--", PS_CUSTOM_RULE, "--consistency.mode=" + mode});
  CHECK(job.wait() == 0);
  CHECK_THAT(job.out, Contains("0.0 1.0 2.0 3.0"));
}

TEST_CASE("psrun: --help teaches and --dry-run starts nothing", "[integration]") {
  Process help({PS_PSRUN, "--help"});
  CHECK(help.wait() == 0);
  CHECK_THAT(help.out, Contains("psrun -n 4 -s 2 -- ./train") && Contains("Exit codes"));
  Process dry({PS_PSRUN, "-n", "2", "--dry-run", "--", "./no-such-program", "a b"});
  CHECK(dry.wait() == 0);
  CHECK_THAT(dry.out, Contains("# worker 1\nPS_CLUSTER_ROLE=worker PS_CLUSTER_INDEX=1 ") &&
                          Contains("\\\n  ./no-such-program 'a b'\n"));
  CHECK(count(dry.out, "# ") == 4);
}

}  // namespace
}  // namespace ps
