#include "session/worker_runtime.h"

#include <utility>

#include <ps/error.h>

#include "base/trace.h"

namespace ps {

WorkerRuntime::WorkerRuntime(const worker::Worker::Options& options,
                             std::shared_ptr<const Fabric> fabric,
                             Log log,
                             std::chrono::milliseconds patience)
    : patience_(patience), worker_(options, *this), loop_(std::move(log)) {
  thread_ = std::jthread(
      [this, fabric = std::move(fabric)](const std::stop_token& stop) { run(stop, fabric); });
}

WorkerRuntime::~WorkerRuntime() {
  thread_.request_stop();
  thread_.join();
}

void WorkerRuntime::run(const std::stop_token& stop, const std::shared_ptr<const Fabric>& fabric) {
  trace::name_thread("communication");
  cluster::Failure failure{ErrorCode::kAborted, "this worker has left the job"};
  try {
    loop_.run(
        stop, [&] { return fabric->make_transport(); },
        [&](net::Transport&) -> cluster::Core& { return worker_; });
    if (worker_.agent().failure()) failure = *worker_.agent().failure();
  } catch (const Error& error) {
    failure = {error.code(), error.what()};
  }
  end_all(failure);
}

std::shared_ptr<Pending::State> WorkerRuntime::submit(const std::string& what,
                                                      Operation operation) {
  auto state = std::make_shared<Pending::State>(patience_, what);
  worker::Ticket ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) {
      worker::Outcome outcome;
      outcome.failure = ended_;
      state->complete(std::move(outcome));
      return state;
    }
    ticket = next_ticket_++;
    open_.emplace(ticket, state);
  }
  const bool posted = loop_.post(
      [this, ticket, operation = std::move(operation)](TimePoint now, cluster::Outbox& out) {
        operation(worker_, ticket, now, out);
      });
  if (!posted) {
    worker::Outcome outcome;
    outcome.failure = cluster::Failure{ErrorCode::kInternal,
                                       "too many operations at once: wait for some of them"};
    done(ticket, std::move(outcome));
  }
  return state;
}

void WorkerRuntime::tell(Word word) {
  const bool posted =
      loop_.post([this, word = std::move(word)](TimePoint now, cluster::Outbox& out) {
        word(worker_, now, out);
      });
  if (!posted)
    throw Error(ErrorCode::kInternal, "too many operations at once: wait for the step to end");
}

void WorkerRuntime::done(worker::Ticket ticket, worker::Outcome outcome) {
  if (outcome.step.version > newest_version_.load(std::memory_order_relaxed))
    newest_version_.store(outcome.step.version, std::memory_order_relaxed);  // one thread's
  std::shared_ptr<Pending::State> state;
  {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(ticket);
    if (found == open_.end()) return;
    state = std::move(found->second);
    open_.erase(found);
  }
  state->complete(std::move(outcome));
}

void WorkerRuntime::arrived(worker::Ticket ticket, std::span<const std::uint32_t> parameters) {
  std::shared_ptr<Pending::State> state;
  {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(ticket);
    if (found == open_.end()) return;
    state = found->second;
  }
  state->arrived(parameters);
}

void WorkerRuntime::end_all(const cluster::Failure& failure) {
  std::map<worker::Ticket, std::shared_ptr<Pending::State>> open;
  {
    const std::lock_guard lock(mutex_);
    ended_ = failure;
    open.swap(open_);
  }
  for (const auto& [ticket, state] : open) {
    worker::Outcome outcome;
    outcome.failure = failure;
    state->complete(std::move(outcome));
  }
}

}  // namespace ps
