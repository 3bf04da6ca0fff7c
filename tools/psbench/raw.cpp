#include "raw.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <malloc.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "base/buffer.h"
#include "timing.h"

namespace psbench {
namespace {

class MemoryCopy final : public RawPath {
 public:
  void serve() override {}
  void exchange(std::span<const std::byte> from, std::span<std::byte> to) override {
    std::memcpy(to.data(), from.data(), from.size());
  }
};

// Small blocks and large ones come from one heap that only grows, and that faults once.
void tune_malloc() {
  constexpr int kGiB = 1 << 30;
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, kGiB);
  mallopt(M_TRIM_THRESHOLD, kGiB);
  mallopt(M_TOP_PAD, kGiB / 4);
}

bool read_all(int fd, void* to, std::size_t bytes) {
  auto* at = static_cast<std::byte*>(to);
  while (bytes > 0) {
    const ssize_t got = ::read(fd, at, bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

bool write_all(int fd, const void* from, std::size_t bytes) {
  const auto* at = static_cast<const std::byte*>(from);
  while (bytes > 0) {
    const ssize_t put = ::send(fd, at, bytes, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += put;
    bytes -= static_cast<std::size_t>(put);
  }
  return true;
}

struct Order {
  std::uint64_t way;
  double seconds;
};

using Paths = std::vector<std::unique_ptr<RawPath>>;

std::vector<double> exchanges(RawPath& path,
                              double seconds,
                              const ps::Memory& from,
                              const ps::Memory& to) {
  std::vector<double> times;
  path.exchange(from.bytes(), to.bytes());
  const double end = now() + seconds;
  do {
    const double start = now();
    path.exchange(from.bytes(), to.bytes());
    times.push_back(now() - start);
  } while (now() < end);
  return times;
}

void run_client(const Paths& paths, int control, std::size_t bytes) {
  const ps::Memory from = ps::Memory::allocate(bytes);
  const ps::Memory to = ps::Memory::allocate(bytes);
  Order order{};
  while (read_all(control, &order, sizeof order)) {
    const auto times = exchanges(*paths.at(order.way), order.seconds, from, to);
    const std::uint64_t count = times.size();
    if (!write_all(control, &count, sizeof count) ||
        !write_all(control, times.data(), count * sizeof(double))) {
      return;
    }
  }
}

void run_echo(const Paths& paths) {
  std::vector<std::jthread> threads;
  for (const auto& path : paths) threads.emplace_back([&path] { path->serve(); });
}

// Nothing of the parent's is torn down in a child: it ends by _exit().
template <class Body>
pid_t fork_child(const Body& body) {
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  try {
    tune_malloc();
    body();
    _exit(0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "psbench: raw peers: %s\n", error.what());
  }
  _exit(1);
}

}  // namespace

std::unique_ptr<RawPath> raw_memcpy() {
  return std::make_unique<MemoryCopy>();
}

RawPeers::RawPeers(const RawSizes& sizes)
    : names_{"memcpy", "tcp", "unix", "zmq_tcp", "zmq_ipc", "shm"} {
  Paths paths;
  paths.push_back(raw_memcpy());
  paths.push_back(raw_stream(sizes, Stream::kTcp));
  paths.push_back(raw_stream(sizes, Stream::kUnix));
  paths.push_back(raw_zmq(sizes, "tcp"));
  paths.push_back(raw_zmq(sizes, "ipc"));
  paths.push_back(raw_shared(sizes));
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::system_error(errno, std::generic_category(), "socketpair");
  }
  control_.reset(ends[0]);
  const ps::net::Descriptor other(ends[1]);
  processes_.push_back(fork_child([&] { run_echo(paths); }));
  processes_.push_back(fork_child([&] {
    control_.reset();
    run_client(paths, other.get(), sizes.bytes);
  }));
}

RawPeers::~RawPeers() {
  for (const pid_t pid : processes_) {
    kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
}

std::vector<double> RawPeers::run(std::size_t way, double seconds) {
  const Order order{way, seconds};
  std::uint64_t count = 0;
  std::vector<double> times;
  bool good = write_all(control_.get(), &order, sizeof order) &&
              read_all(control_.get(), &count, sizeof count);
  if (good) {
    times.resize(count);
    good = read_all(control_.get(), times.data(), count * sizeof(double));
  }
  if (!good) throw std::runtime_error("the process of the raw " + names_.at(way) + " has ended");
  return times;
}

}  // namespace psbench
