#include "explore/world.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/assert.h"

namespace ps::explore {
namespace {

constexpr wire::JobId kJobId{0xE4, 0x10};
constexpr std::size_t kFirstWorker = 1 + World::kShards;
// Timers that may go off in a row before the job counts as stuck.
constexpr std::uint32_t kMostWaits = 400;

// Quick to retry and to notice a death: time passes in leaps.
cluster::Timing timing() {
  using std::chrono::milliseconds;
  return {.heartbeat = milliseconds(400),
          .suspect = std::chrono::seconds(1000),  // connections do not break here
          .lease = milliseconds(1000),
          .retry = milliseconds(150),
          .retry_cap = milliseconds(600),
          .deadline = std::chrono::seconds(10),
          .gather = std::chrono::seconds(100)};
}

// A connection is known by who opened it as which link; each has a channel either way.
std::uint64_t channel_id(std::uint64_t opener, net::Link link, bool answers) {
  return (opener * 16 + link) * 2 + (answers ? 1 : 0);
}

}  // namespace

// Takes one step after the other, in no time.
class World::User final : public worker::Events {
 public:
  void done(worker::Ticket ticket, worker::Outcome outcome) override {
    PS_ASSERT(ticket == tickets && !news, "an operation ended that is not the one waited for");
    news = std::move(outcome);
  }

  worker::Ticket tickets = 0;
  std::optional<worker::Outcome> news;
  std::vector<Memory> weights;
  std::vector<Memory> gradients;
  bool finished = false;
  bool failed = false;
};

struct World::Host {
  std::unique_ptr<cluster::Core> core;
  std::string endpoint;
  bool alive = true;
  // of a worker
  std::uint32_t rank = 0;
  worker::Worker* worker = nullptr;
  std::unique_ptr<User> user;

  [[nodiscard]] bool over() const { return !alive || !user || user->finished || user->failed; }
};

World::World(const Job& job)
    : job_(job), watch_(job.program, job.workers), faults_left_(job.faults) {
  for (auto& heard : heard_) heard.resize(job.workers);
  add(std::make_unique<cluster::Scheduler>(cluster::Scheduler::Options{.job = kJobId,
                                                                       .workers = job.workers,
                                                                       .shards = kShards,
                                                                       .on_failure = job.on_failure,
                                                                       .timing = timing()}),
      "scheduler");
  for (std::uint32_t i = 0; i < kShards; ++i) {
    const std::string endpoint = "shard " + std::to_string(i);
    add(std::make_unique<server::Shard>(
            server::Shard::Options{.agent = agent_options({wire::Role::kServer, i}, endpoint),
                                   .staging_bytes = std::size_t{1} << 20,
                                   .observer = &watch_}),
        endpoint);
  }
  for (std::uint32_t rank = 0; rank < job.workers; ++rank) add_worker(rank);
  run_in_order();
  begun_ = true;
  for (const auto& host : hosts_) {
    if (host->user) begin_step(*host);
  }
}

World::~World() = default;

std::size_t World::add(std::unique_ptr<cluster::Core> core, std::string endpoint) {
  hosts_.push_back(std::make_unique<Host>());
  hosts_.back()->core = std::move(core);
  hosts_.back()->endpoint = std::move(endpoint);
  hosts_.back()->core->on_start(now_, out_);
  carry_out(hosts_.size() - 1);
  return hosts_.size() - 1;
}

void World::add_worker(std::uint32_t rank) {
  auto user = std::make_unique<User>();
  auto core = std::make_unique<worker::Worker>(
      worker::Worker::Options{.agent = agent_options({wire::Role::kWorker, rank}, ""),
                              .seed = rank},
      *user);
  worker::Worker& worker = *core;
  Host& host = *hosts_[add(std::move(core), "")];
  host.rank = rank;
  host.worker = &worker;
  host.user = std::move(user);
  for (const wire::ParameterInfo& parameter : job_.program.parameters) {
    const auto bytes = static_cast<std::size_t>(parameter.shape.front()) * sizeof(float);
    host.user->weights.push_back(Memory::allocate(bytes));
    host.user->gradients.push_back(Memory::allocate(bytes));
    const auto values = host.user->weights.back().as<float>();
    const auto index = static_cast<std::uint32_t>(host.user->weights.size() - 1);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = job_.program.initial ? job_.program.initial(index, i) : 0.0F;
  }
  worker.add_model(++host.user->tickets,
                   {.name = "model",
                    .options = job_.program.options,
                    .parameters = job_.program.parameters,
                    .weights = host.user->weights,
                    .gradients = host.user->gradients},
                   now_, out_);
  carry_out(hosts_.size() - 1);
}

cluster::Agent::Options World::agent_options(wire::Sender self, const std::string& endpoint) {
  return {.job = kJobId,
          .self = self,
          .nonce = ++nonces_,
          .scheduler = "scheduler",
          .own_endpoint = endpoint,
          .timing = timing()};
}

// --- messages
// ----------------------------------------------------------------------------------------

void World::carry_out(std::size_t node) {
  for (auto& action : out_.take()) {
    if (const auto* wish = std::get_if<cluster::Outbox::Connect>(&action)) connect(node, *wish);
    auto* const send = std::get_if<cluster::Outbox::Send>(&action);
    if (send == nullptr) continue;
    const bool answers = send->link >= net::kAcceptedBit;
    const std::uint64_t id =
        answers ? (send->link & ~net::kAcceptedBit) | 1 : channel_id(node, send->link, false);
    const auto channel = channels_.find(id);
    PS_ASSERT(channel != channels_.end(), "a message to nobody");
    if (hosts_[channel->second.to]->alive)
      channel->second.messages.push_back({std::move(send->message), clocks_[node]});
  }
}

void World::connect(std::size_t node, const cluster::Outbox::Connect& wish) {
  const auto peer = static_cast<std::size_t>(
      std::ranges::find(hosts_, wish.endpoint, [](const auto& host) { return host->endpoint; }) -
      hosts_.begin());
  PS_ASSERT(peer < hosts_.size(), "nobody listens there");
  const std::uint64_t id = channel_id(node, wish.link, false);
  channels_[id] = {peer, net::kAcceptedBit | id, {}};
  channels_[id | 1] = {node, wish.link, {}};
}

// After anything that a node did: its timers that are due, what it wants sent, and its user.
void World::settle(std::size_t node) {
  Host& host = *hosts_[node];
  carry_out(node);
  if (host.core->next_time() <= now_) {
    host.core->on_time(now_, out_);
    carry_out(node);
  }
  if (!host.user || !host.user->news) return;
  const worker::Outcome news = *std::exchange(host.user->news, std::nullopt);
  host.user->failed = news.failure.has_value();
  if (begun_ && !host.over()) begin_step(host);
}

void World::begin_step(Host& host) {
  const std::uint64_t step = host.worker->clock(0);
  if (step >= job_.program.steps) {
    host.user->finished = true;
    return;
  }
  check_gate(host, step);
  const sim::Life life{host.rank, host.rank};
  job_.program.fill(life, step, host.user->gradients);
  host.worker->begin_step(0, job_.program.plan(life, step).begin, now_, out_);
  host.worker->end_step(++host.user->tickets, 0, now_, out_);
  const auto self = std::ranges::find(hosts_, &host, [](const auto& one) { return one.get(); });
  carry_out(static_cast<std::size_t>(self - hosts_.begin()));
}

// Ssp, told by cause and effect: what lets a worker go on is that the shards have heard of the
// others' steps.
void World::check_gate(const Host& host, std::uint64_t step) {
  const auto* ssp = std::get_if<Ssp>(&job_.program.options.mode);
  if (ssp == nullptr || !wrong_.empty()) return;
  for (std::size_t shard = 0; shard < kShards; ++shard) {
    for (std::uint32_t rank = 0; rank < job_.workers; ++rank) {
      const std::uint64_t completed = heard_[shard][rank];
      if (rank == host.rank || dead_ == rank || step <= completed + ssp->staleness) continue;
      wrong_ = "worker " + std::to_string(host.rank) + " starts step " + std::to_string(step) +
               " when shard " + std::to_string(shard) + " has heard of " +
               std::to_string(completed) + " steps of worker " + std::to_string(rank);
    }
  }
}

void World::deliver(Channel& channel, Transit transit) {
  const wire::Header& header = transit.message.header;
  const std::size_t to = channel.to;
  if (to > 0 && to < kFirstWorker && (header.flags & wire::kFlagEndOfStep) != 0) {
    std::uint64_t& heard = heard_[to - 1][header.sender.index];
    heard = std::max(heard, header.clock + 1);
  }
  hosts_[to]->core->on_message(channel.link, std::move(transit.message), now_, out_);
  settle(to);
}

// One fixed order, until no message is under way.
void World::run_in_order() {
  for (auto it = channels_.begin(); it != channels_.end();) {
    if (it->second.messages.empty()) {
      ++it;
      continue;
    }
    Transit transit = std::move(it->second.messages.front());
    it->second.messages.pop_front();
    deliver(it->second, std::move(transit));
    it = channels_.begin();
  }
}

// --- choices
// -----------------------------------------------------------------------------------------

bool World::silent() const {
  return std::ranges::all_of(channels_, [](const auto& c) { return c.second.messages.empty(); });
}

bool World::over() const {
  const bool comes_back = dead_ && !reborn_ && job_.on_failure == cluster::OnFailure::kWait;
  return !comes_back && std::ranges::all_of(hosts_, [](const auto& host) { return host->over(); });
}

// Not where a worker may have to say something again, nor once a death may end the job for one
// whose answers are under way. What follows on a new life's start is not gone through: one order is
// taken.
bool World::commutes(std::size_t node) const {
  if (reborn_) return true;
  return job_.workers_commute && job_.faults == 0 && !dead_ && node >= kFirstWorker;
}

// Deliveries to different nodes commute, and so do those to one worker: where one is due it is the
// only thing to decide about, since nothing else has to do with it.
std::vector<Choice> World::choices() const {
  std::vector<Choice> all;
  for (const auto& [id, channel] : channels_) {
    if (channel.messages.empty()) continue;
    if (commutes(channel.to)) all.clear();
    all.push_back({Choice::Kind::kDeliver, id});
    if (faults_left_ > 0) all.push_back({Choice::Kind::kDrop, id});
    if (faults_left_ > 0) all.push_back({Choice::Kind::kDuplicate, id});
    if (job_.death && !dead_ && !hosts_[channel.to]->over())
      all.push_back({Choice::Kind::kDie, id});
    if (commutes(channel.to)) break;
  }
  return all;
}

World::Event World::event_of(const Choice& choice) const {
  const Channel& channel = channels_.at(choice.channel);
  return {channel.to, clocks_[channel.to][channel.to] + 1, channel.messages.front().cause};
}

void World::apply(const Choice& choice) {
  Channel& channel = channels_.at(choice.channel);
  Transit transit = channel.messages.front();
  if (choice.kind == Choice::Kind::kDie) {
    hosts_[channel.to]->alive = false;
    dead_ = hosts_[channel.to]->rank;
    for (auto& [id, other] : channels_) {
      if (other.to == channel.to) other.messages.clear();
    }
  } else {
    if (choice.kind != Choice::Kind::kDuplicate) channel.messages.pop_front();
    if (choice.kind != Choice::Kind::kDeliver) --faults_left_;
  }
  CausalClock& clock = clocks_[channel.to];
  for (std::size_t i = 0; i < clock.size(); ++i) clock[i] = std::max(clock[i], transit.cause[i]);
  ++clock[channel.to];
  if (choice.kind == Choice::Kind::kDeliver || choice.kind == Choice::Kind::kDuplicate)
    deliver(channel, std::move(transit));
  wait();
}

bool World::is_known_dead(std::uint32_t rank) const {
  const auto& scheduler = static_cast<const cluster::Scheduler&>(*hosts_.front()->core);
  return scheduler.view().workers[rank].state == wire::WorkerInfo::State::kDead;
}

// Time passes after everything that has happened.
void World::remember_all() {
  CausalClock all{};
  for (std::size_t node = 0; node < all.size(); ++node) all[node] = clocks_[node][node];
  clocks_.fill(all);
}

// Nothing is under way: timers go off, one by one, until something is, or the job is over.
void World::wait() {
  while (silent() && !over()) {
    if (++waits_ > kMostWaits) {
      if (wrong_.empty()) wrong_ = "the job is stuck";
      return;
    }
    std::size_t next = 0;
    for (std::size_t node = 0; node < hosts_.size(); ++node) {
      if (hosts_[node]->alive && hosts_[node]->core->next_time() < hosts_[next]->core->next_time())
        next = node;
    }
    now_ = std::max(now_, hosts_[next]->core->next_time());
    remember_all();
    if (!reborn_ && dead_ && job_.on_failure == cluster::OnFailure::kWait &&
        is_known_dead(*dead_)) {
      reborn_ = true;
      add_worker(*dead_);
      continue;
    }
    hosts_[next]->core->on_time(now_, out_);
    settle(next);
  }
}

// --- the end
// -----------------------------------------------------------------------------------------

const std::string& World::wrong() const {
  return wrong_.empty() ? watch_.wrong() : wrong_;
}

std::string World::judge() {
  if (!wrong().empty()) return wrong();
  if (!over()) return "the job is stuck";
  for (const auto& host : hosts_) {
    if (!host->user || !host->alive) continue;
    const bool stops = dead_ && job_.on_failure == cluster::OnFailure::kStop;
    if (host->user->failed && !stops) return "worker " + std::to_string(host->rank) + " failed";
  }
  if (dead_ && !reborn_) return {};
  std::vector<std::vector<float>> first;
  for (std::size_t node = kFirstWorker; node < hosts_.size(); ++node) {
    Host& host = *hosts_[node];
    if (!host.alive) continue;
    host.user->finished = false;
    host.worker->pull(++host.user->tickets, 0, wire::Part::kWeights, now_, out_);
    carry_out(node);
    run_in_order();
    if (!host.user->finished) return "worker " + std::to_string(host.rank) + " pulls for ever";
    const auto values = host.user->weights.front().as<float>();
    weights_.assign(values.begin(), values.end());
    first.resize(1, weights_);
    if (weights_ != first.front()) return "two workers read different weights at the end";
  }
  return {};
}

std::string World::outcome() const {
  std::ostringstream text;
  for (std::uint64_t round = 0; round < job_.program.steps; ++round) {
    text << (round > 0 ? " " : "");
    for (std::uint32_t rank = 0; rank < job_.workers; ++rank) {
      if (watch_.contributed(rank, round)) text << rank;
    }
  }
  if (dead_) {
    text << ", dead " << *dead_ << ", finished";
    for (const auto& host : hosts_) {
      if (host->user && host->alive && host->user->finished) text << ' ' << host->rank;
    }
  }
  return text.str();
}

std::string World::describe(const Choice& choice) const {
  constexpr const char* kNames[] = {"deliver", "lose", "deliver, and again,", "die of"};
  const std::string what = kNames[static_cast<std::size_t>(choice.kind)];
  const Channel& channel = channels_.at(choice.channel);
  const wire::Header& header = channel.messages.front().message.header;
  std::ostringstream text;
  text << what << ' ' << cluster::name_of(header.sender) << "'s message of type "
       << static_cast<int>(header.type) << ", clock " << header.clock << ", to node " << channel.to;
  return text.str();
}

}  // namespace ps::explore
