#include "support/simulator.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/assert.h"
#include "base/random.h"

namespace ps::sim {
namespace {

constexpr wire::JobId kJob{0x5eed, 0x10b};
// More events than that at one time: nodes that answer each other without end.
constexpr std::uint64_t kMostEventsAtOnce = 100000;
// Fewer than a pump takes at most: after fewer than these nothing is left.
constexpr std::uint64_t kManyMessages = 128;
// What a loop gives a node's last words to leave (cluster/loop.cpp).
constexpr Duration kFarewell = std::chrono::milliseconds(500);

}  // namespace

cluster::Timing sim_timing() {
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  return {.heartbeat = milliseconds(250),
          .suspect = seconds(1),
          .lease = seconds(6),
          .retry = milliseconds(200),
          .retry_cap = seconds(1),
          .deadline = seconds(20),
          .gather = seconds(120)};
}

struct Simulator::Host {
  std::string name;
  std::unique_ptr<cluster::Core> core;
  std::unique_ptr<TapTransport> transport;
  std::unique_ptr<cluster::Node> node;  // null once it has stopped
  TimePoint wake = kNever;
  TimePoint frozen_until{};
  TimePoint farewell = kNever;  // once it has finished: when it stops
  // of a worker
  worker::Worker* worker = nullptr;
  LifeRecord* record = nullptr;
  std::unique_ptr<SimUser> user;

  void stop() {
    node.reset();
    transport.reset();
    wake = kNever;
    if (record != nullptr) record->running = record->counted = false;
  }
};

Simulator::Simulator(const JobOptions& options, Program program, server::UpdateObserver* observer)
    : options_(options), program_(std::move(program)), observer_(observer), network_(options.seed) {
  auto scheduler = std::make_unique<cluster::Scheduler>(
      cluster::Scheduler::Options{.job = kJob,
                                  .workers = options_.workers,
                                  .shards = options_.shards,
                                  .on_failure = options_.on_failure,
                                  .timing = options_.timing});
  scheduler_core_ = scheduler.get();
  add_host(node_of_scheduler(), "scheduler", std::move(scheduler))
      .transport->bind(scheduler_endpoint());
  for (std::uint32_t i = 0; i < options_.shards; ++i) {
    const std::string endpoint = "sim://shard-" + std::to_string(i);
    auto shard = std::make_unique<server::Shard>(
        server::Shard::Options{.agent = agent_options({wire::Role::kServer, i}, endpoint),
                               .staging_bytes = options_.staging_bytes,
                               .observer = observer_});
    shards_.push_back(shard.get());
    add_host(node_of_shard(i), "shard " + std::to_string(i), std::move(shard))
        .transport->bind(endpoint);
  }
  for (const auto& host : hosts_) {
    host->node->start(now());
    touch(*host);
  }
  Random random(options_.seed, 1);
  for (std::uint32_t rank = 0; rank < options_.workers; ++rank) {
    const auto delay = std::chrono::microseconds(random.below(50000));
    at(now() + delay, [this, rank] { start_worker(rank); });
  }
}

Simulator::~Simulator() = default;

Simulator::Host& Simulator::add_host(net::SimNode node,
                                     const std::string& name,
                                     std::unique_ptr<cluster::Core> core) {
  PS_ASSERT(node == hosts_.size(), "nodes are numbered in the order they are made");
  auto host = std::make_unique<Host>();
  host->name = name;
  host->core = std::move(core);
  host->transport =
      std::make_unique<TapTransport>(network_.join(node), name, trace_, clock_, options_.verbose);
  host->node = std::make_unique<cluster::Node>(
      *host->transport, *host->core, options_.verbose ? Log(name, LogLevel::kDebug) : Log());
  hosts_.push_back(std::move(host));
  return *hosts_.back();
}

cluster::Agent::Options Simulator::agent_options(wire::Sender self,
                                                 const std::string& own_endpoint) {
  return {.job = kJob,
          .self = self,
          .nonce = ++nonces_,
          .scheduler = scheduler_endpoint(),
          .own_endpoint = own_endpoint,
          .timing = options_.timing};
}

void Simulator::at(TimePoint time, std::function<void()> action) {
  actions_.push_back({std::max(time, now()), next_order_++, std::move(action)});
  std::ranges::push_heap(actions_, std::greater<>(),
                         [](const Action& a) { return std::pair(a.time, a.order); });
}

// --- workers' lives
// --------------------------------------------------------------------------------

Simulator::Host* Simulator::worker_host(std::uint32_t rank) const {
  for (auto host = hosts_.rbegin(); host != hosts_.rend(); ++host) {
    if ((*host)->record != nullptr && (*host)->record->life.rank == rank) return host->get();
  }
  return nullptr;
}

net::SimNode Simulator::node_of_worker(std::uint32_t rank) const {
  for (std::size_t i = hosts_.size(); i-- > 0;) {
    if (hosts_[i]->record != nullptr && hosts_[i]->record->life.rank == rank)
      return static_cast<net::SimNode>(i);
  }
  return 1 + options_.shards + rank;  // it will begin
}

void Simulator::start_worker(std::uint32_t rank) {
  if (hosts_.front()->node == nullptr) return;  // the job is over
  const auto number = static_cast<std::uint32_t>(records_.size());
  records_.push_back(std::make_unique<LifeRecord>());
  LifeRecord& record = *records_.back();
  record.life = {rank, number};
  record.began = now();
  auto user = std::make_unique<SimUser>(program_, record);
  auto core = std::make_unique<worker::Worker>(
      worker::Worker::Options{.agent = agent_options({wire::Role::kWorker, rank}, ""),
                              .credit_bytes = options_.credit_bytes,
                              .seed = options_.seed + number},
      *user);
  worker::Worker* const worker = core.get();
  const std::string name = "worker " + std::to_string(rank) + "." + std::to_string(number);
  Host& host = add_host(static_cast<net::SimNode>(hosts_.size()), name, std::move(core));
  host.worker = worker;
  host.record = &record;
  host.user = std::move(user);
  host.node->start(now());
  host.user->start(*worker, *host.node, now());
  touch(host);
}

void Simulator::crash_worker(std::uint32_t rank) {
  if (Host* const host = worker_host(rank)) host->stop();
}

void Simulator::freeze_worker(std::uint32_t rank, TimePoint until) {
  Host* const host = worker_host(rank);
  if (host == nullptr || host->node == nullptr) return;
  host->frozen_until = until;
  host->wake = until;
}

// A worker that failed although the job goes on is started again, unless somebody has done so.
void Simulator::supervise(Host& host) {
  if (host.record == nullptr || !host.record->failure || restart_after_ == Duration{0}) return;
  const LifeRecord* const failed = host.record;
  at(now() + restart_after_, [this, failed] {
    if (worker_host(failed->life.rank)->record == failed &&
        scheduler_core_->view().phase != wire::View::Phase::kStopping)
      start_worker(failed->life.rank);
  });
}

// --- events
// ----------------------------------------------------------------------------------------

void Simulator::touch(Host& host) {
  if (host.node == nullptr) return;
  if (now() < host.frozen_until) {
    host.wake = host.frozen_until;
    return;
  }
  cluster::Node& node = *host.node;
  std::uint64_t received = 0;
  do {
    received = node.counters().received;
    node.pump(now());
    if (host.user) host.user->go_on(*host.worker, node, now());
  } while (node.counters().received - received > kManyMessages);  // a pump takes only so many
  if (node.finished()) {
    host.farewell = std::min(host.farewell, now() + kFarewell);
    if (!node.blocked() || now() >= host.farewell) {
      // A user who waited for nothing hears of it with its next operation.
      if (host.record != nullptr && !host.record->left)
        host.record->failure = host.worker->agent().failure();
      host.stop();
      return supervise(host);
    }
  }
  host.wake = std::min(node.next_time(now()), host.farewell);
  if (host.user) host.wake = std::min(host.wake, host.user->next_time());
}

TimePoint Simulator::next_time() const {
  TimePoint next = network_.next_event();
  if (!actions_.empty()) next = std::min(next, actions_.front().time);
  for (const auto& host : hosts_) next = std::min(next, host->wake);
  return next;
}

bool Simulator::step(TimePoint limit) {
  const TimePoint next = next_time();
  if (next == kNever || next > limit) return false;
  events_now_ = next > now() ? 0 : events_now_ + 1;
  if (events_now_ > kMostEventsAtOnce) return false;
  clock_.set(std::max(next, now()));
  if (!actions_.empty() && actions_.front().time <= now()) {
    std::ranges::pop_heap(actions_, std::greater<>(),
                          [](const Action& a) { return std::pair(a.time, a.order); });
    const auto action = std::move(actions_.back().run);
    actions_.pop_back();
    action();
    return true;
  }
  for (const net::SimNode node : network_.deliver_until(now())) touch(*hosts_.at(node));
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    if (hosts_[i]->wake <= now()) touch(*hosts_[i]);
  }
  return true;
}

bool Simulator::run(TimePoint limit) {
  while (!over()) {
    if (!step(limit)) return over();
  }
  return true;
}

bool Simulator::over() const {
  return std::ranges::all_of(hosts_, [](const auto& host) { return host->node == nullptr; });
}

std::string Simulator::describe() const {
  std::ostringstream text;
  text << "at " << seconds(now().time_since_epoch()) << " s:";
  for (const auto& host : hosts_) {
    text << "\n  " << host->name << ": " << (host->node ? "running" : "stopped");
    if (host->user) {
      text << ", " << host->user->doing() << ", clock " << host->record->next_step;
      if (host->record->failure) text << ", failed: " << host->record->failure->text;
    }
  }
  const wire::View& view = scheduler_core_->view();
  text << "\n  view: revision " << view.revision << ", phase " << static_cast<int>(view.phase)
       << ' ' << view.reason;
  return text.str();
}

}  // namespace ps::sim
