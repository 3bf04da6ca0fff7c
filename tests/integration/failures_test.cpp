// What a job does when one of its processes dies, stands still or is not what the others expect:
// the rest ends, with a message that says who and why, and nobody is left behind.
#include <array>
#include <csignal>
#include <fstream>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "integration/process.h"
#include "integration/witness.h"
#include "net/transport_factory.h"
#include "ops/temporary_directory.h"
#include "support/catch.h"
#include "wire/control.h"

namespace ps {
namespace {

using Catch::Contains;
using std::chrono::seconds;
using test::Process;
using test::TemporaryDirectory;
using test::Witness;

constexpr seconds kPatience{10};

// Three workers, two servers and a scheduler that train until one of them is struck.
class Job {
 public:
  // Behind a shell, every program has a wrapper that psrun sees in its stead.
  explicit Job(bool behind_shell, const std::string& transport = "ipc")
      : process_(command(behind_shell, transport)) {
    process_.read_until([](const Process& p) { return p.out.find("under way") != p.out.npos; });
  }
  // The program's process id, by its role and index ("worker 1").
  [[nodiscard]] pid_t pid_of(const std::string& member) const {
    std::ifstream file(directory_.file(member));
    pid_t pid = 0;
    REQUIRE(file >> pid);
    return pid;
  }
  void strike(const std::string& member, int signal) const {
    REQUIRE(::kill(pid_of(member), signal) == 0);
  }
  [[nodiscard]] Process& process() { return process_; }
  [[nodiscard]] bool all_gone() const { return witness_.all_gone(); }

 private:
  [[nodiscard]] std::vector<std::string> command(bool behind_shell,
                                                 const std::string& transport) const {
    const std::string note =
        "echo $$ >\"" + directory_.path() + "/$PS_CLUSTER_ROLE $PS_CLUSTER_INDEX\"; exec $0";
    const std::string script = behind_shell ? "sh -c '" + note + "' $0; exit $?" : note;
    return {PS_PSRUN,
            "-n",
            "3",
            "-s",
            "2",
            "--grace",
            "1",
            "--transport",
            transport,
            "--",
            "sh",
            "-c",
            witness_.hold() + script,
            PS_ENDLESS};
  }

  TemporaryDirectory directory_;
  Witness witness_;
  Process process_;
};

}  // namespace

TEST_CASE("failures: kill -9 of any member ends the job, and psrun says who", "[integration]") {
  const std::string member = GENERATE("worker 0", "worker 2", "server 1", "scheduler 0");
  const bool behind_shell = GENERATE(false, true);
  CAPTURE(member, behind_shell);
  Job job(behind_shell);
  job.strike(member, SIGKILL);
  CHECK(job.process().wait(kPatience) == 128 + SIGKILL);
  const std::string name = member == "scheduler 0" ? "scheduler" : member;
  CHECK_THAT(job.process().err,
             Contains("psrun: " + name + " failed: ") && Contains("stopping the others"));
  CHECK(job.all_gone());
}

TEST_CASE("failures: kill -9 of psrun ends every process of its job", "[integration]") {
  const bool behind_shell = GENERATE(false, true);
  CAPTURE(behind_shell);
  Job job(behind_shell);
  job.process().kill(SIGKILL);
  CHECK(job.process().wait(kPatience) == 128 + SIGKILL);
  CHECK(job.all_gone());
}

TEST_CASE("failures: a member that stands still is named, and the job ends", "[integration]") {
  const auto [member, transport] =
      GENERATE(table<std::string, std::string>({{"worker 1", "ipc"},
                                                {"worker 1", "tcp"},
                                                {"worker 1", "shm"},
                                                {"server 0", "ipc"},
                                                {"scheduler 0", "ipc"}}));
  CAPTURE(member, transport);
  Job job(false, transport);
  job.strike(member, SIGSTOP);
  CHECK(job.process().wait(seconds(20)) == 1);
  const std::string name = member == "scheduler 0" ? "the scheduler"
                           : member == "server 0"  ? "shard 0"
                                                   : member;
  CHECK_THAT(job.process().err, Contains(name));
  CHECK(job.all_gone());
}

TEST_CASE("failures: workers whose tables differ are told which tensor does", "[integration]") {
  Process job({PS_PSRUN, "-n", "3", "--", PS_ENDLESS, "differ"});
  CHECK(job.wait(kPatience) == 1);
  CHECK_THAT(job.err, Contains("second.weight") && Contains("worker 2") && Contains("[100, 7]"));
}

TEST_CASE("failures: a shape that cannot be is refused by name", "[integration]") {
  Process job({PS_PSRUN, "-n", "2", "--", PS_ENDLESS, "damaged"});
  CHECK(job.wait(kPatience) == 1);
  CHECK_THAT(job.err, Contains("first.weight") && Contains("-3"));
}

TEST_CASE("failures: a scheduler of another protocol version is told from a dead one",
          "[integration]") {
  const TemporaryDirectory directory;
  const auto transport = net::make_transport({.kind = net::TransportKind::kShm}, {});
  const std::string endpoint =
      transport->bind(net::bind_endpoint(net::TransportKind::kShm, directory.path(), "scheduler"));
  // Answers everything as the next major version would.
  const std::jthread scheduler([&](const std::stop_token& stop) {
    wire::Message answer;
    answer.payload = wire::encode_control(wire::HeartbeatAck{});
    std::vector<std::byte> header = wire::encode_header(answer, false);
    header[4] = std::byte{wire::kMajor + 1};
    const net::Frames other{Buffer::copy_of(header), answer.payload};
    while (!stop.stop_requested()) {
      pollfd polled{transport->fd(), POLLIN, 0};
      poll(&polled, 1, 50);
      net::Link from = 0;
      net::Frames frames;
      while (transport->receive(from, frames)) transport->send(from, other);
    }
  });
  Process worker({PS_ENDLESS, "--cluster.role=worker", "--cluster.profile=fast",
                  "--transport.kind=shm", "--transport.directory=" + directory.path(),
                  "--cluster.scheduler=" + endpoint});
  CHECK(worker.wait(kPatience) == 1);
  CHECK_THAT(worker.err, Contains("another version of the protocol") && Contains(endpoint));
}

TEST_CASE("failures: a port in use is named", "[integration]") {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(listen(fd, 1) == 0);
  REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  const std::string endpoint = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  Process scheduler({PS_ENDLESS, "--cluster.role=scheduler", "--transport.kind=tcp",
                     "--cluster.scheduler=" + endpoint});
  CHECK(scheduler.wait(kPatience) == 1);
  CHECK_THAT(scheduler.err, Contains(endpoint) && Contains("in use"));
  close(fd);
}

TEST_CASE("failures: a configuration key with a typo is named before anything starts",
          "[integration]") {
  Process flag({PS_ENDLESS, "--consistency.mod=async"});
  CHECK(flag.wait(kPatience) == 1);
  CHECK_THAT(flag.err, Contains("consistency.mod") && Contains("consistency.mode"));
  Process variable({PS_ENDLESS}, {"PS_CONSISTENCY_MOD=async"});
  CHECK(variable.wait(kPatience) == 1);
  CHECK_THAT(variable.err, Contains("PS_CONSISTENCY_MOD"));
}

}  // namespace ps
