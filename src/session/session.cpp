#include <cstdio>
#include <cstdlib>
#include <utility>

#include <ps/error.h>

#include "base/trace.h"
#include "optim/modes.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "session/session_impl.h"

namespace ps {

std::unique_ptr<Session::Impl> Session::Impl::join(ops::Config config,
                                                   std::shared_ptr<const Fabric> fabric,
                                                   bool one_process) {
  auto impl = std::make_unique<Impl>();
  impl->config = std::move(config);
  impl->fabric = std::move(fabric);
  worker::Worker::Options options;
  options.agent = agent_options(impl->config, {wire::Role::kWorker, impl->rank()}, one_process);
  options.credit_bytes = impl->config.transport.credit_bytes;
  options.seed = impl->config.job.seed * 1000003 + impl->rank();
  options.allocate = impl->fabric->memory();
  ops::Progress::Options progress{.mode = impl->config.observe.progress};
  if (impl->rank() != 0) progress.mode = ops::ProgressMode::kOff;
  impl->progress.emplace(progress, impl->clock);
  impl->runtime = std::make_unique<WorkerRuntime>(
      options, impl->fabric,
      Log("worker " + std::to_string(impl->rank()), impl->config.job.log_level),
      std::chrono::milliseconds(impl->config.cluster.wait_ms));
  return impl;
}

std::vector<double> Session::Impl::collective(const std::string& what, std::vector<double> values) {
  const auto state = runtime->submit(
      what, [values = std::move(values)](worker::Worker& worker, worker::Ticket ticket,
                                         TimePoint now, cluster::Outbox& out) {
        worker.collective(ticket, values, now, out);
      });
  return state->wait(std::nullopt).values;
}

void Session::Impl::finish() {
  for (const auto& model : models) {
    if (model->last) model->last->wait(std::nullopt);
  }
  // Nobody pushes after this, so all pull the same weights.
  collective("finish()", {});
  for (const auto& model : models) {
    if (model->index) Model(model.get()).pull().wait();
  }
  const auto left = runtime->submit("leaving the job",
                                    [](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                                       cluster::Outbox& out) { worker.leave(ticket, now, out); });
  left->wait(std::nullopt);
  finished = true;
}

void Session::Impl::abandon(const std::string& reason) noexcept {
  if (finished || !runtime) return;
  finished = true;
  try {
    // The runtime's thread ends by itself once the farewell is out.
    const auto gone =
        runtime->submit("leaving the job", [reason](worker::Worker& worker, worker::Ticket ticket,
                                                    TimePoint now, cluster::Outbox& out) {
          worker.abort(reason, now, out);
          worker.leave(ticket, now, out);
        });
    gone->wait(std::chrono::milliseconds(500));
  } catch (const Error&) {
    // That is how an aborted operation ends.
  }
}

// --- the public face
// -----------------------------------------------------------------------------------------

namespace {

// Reads the configuration; what it asks to print, is printed, and the process ends.
ops::Config configure(int argc, char** argv, std::vector<std::string>& rest) {
  ops::Config config = ops::load_config(argc, argv, rest, ops::Environment::from_process());
  if (config.request != ops::Config::Request::kRun) {
    const bool help = config.request == ops::Config::Request::kHelpConfig;
    std::fputs((help ? ops::help_config() : ops::print_config(config)).c_str(), stdout);
    std::exit(0);
  }
  return config;
}

}  // namespace

std::vector<std::string> program_arguments(int argc, char** argv) {
  std::vector<std::string> rest;
  configure(argc, argv, rest);
  return rest;
}

Session Session::open(int argc, char** argv) {
  std::vector<std::string> rest;
  ops::Config config = configure(argc, argv, rest);
  if (config.cluster.role == ops::ProcessRole::kScheduler ||
      config.cluster.role == ops::ProcessRole::kServer) {
    std::exit(serve(config));
  }
  std::unique_ptr<Impl> impl;
  if (config.cluster.role == ops::ProcessRole::kAlone) {
    if (config.cluster.workers != 1) {
      throw Error(ErrorCode::kInvalidArgument,
                  "cluster.workers is " + std::to_string(config.cluster.workers) +
                      ", but this process runs alone: start it with psrun -n " +
                      std::to_string(config.cluster.workers));
    }
    trace_process(config, config.job.name, 0);
    trace::name_thread("program");
    auto servers = std::make_unique<InProcessServers>(std::move(config));
    impl = Impl::join(servers->config(), servers->fabric(), true);
    impl->servers = std::move(servers);
  } else {
    std::unique_ptr<ops::Lifeline> lifeline;
    const std::string name = "worker " + std::to_string(config.cluster.index);
    if (config.cluster.lifeline_fd >= 0)
      lifeline = std::make_unique<ops::Lifeline>(config.cluster.lifeline_fd, name);
    trace_process(config, name,
                  static_cast<int>(1 + config.cluster.servers + config.cluster.index));
    trace::name_thread("program");
    auto fabric = std::make_shared<const Fabric>(config.transport, false);
    impl = Impl::join(std::move(config), std::move(fabric), false);
    impl->lifeline = std::move(lifeline);
  }
  impl->arguments = std::move(rest);
  return Session(std::move(impl));
}

Session::Session(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() {
  if (!impl_) return;
  impl_->abandon("it ended without finish(): an error, or a program that forgot it");
  const std::string trace = impl_->servers ? impl_->config.observe.trace : std::string();
  impl_.reset();  // its threads have ended, and have written what they recorded
  if (!trace.empty()) trace::finish(trace);
}

std::uint32_t Session::rank() const noexcept {
  return impl_->rank();
}
std::uint32_t Session::workers() const noexcept {
  return impl_->workers();
}
const std::vector<std::string>& Session::arguments() const noexcept {
  return impl_->arguments;
}
std::uint64_t Session::seed() const noexcept {
  return impl_->config.job.seed;
}
const std::string& Session::data_path() const noexcept {
  return impl_->config.data.path;
}
std::uint32_t Session::prefetch() const noexcept {
  return static_cast<std::uint32_t>(impl_->config.data.prefetch);
}

Model Session::model(const std::string& name, const ModelOptions& options) {
  for (const auto& model : impl_->models) {
    if (model->name == name)
      throw Error(ErrorCode::kInvalidArgument, "there is a model '" + name + "' already");
  }
  auto model = std::make_unique<Model::Impl>();
  model->session = impl_.get();
  model->weights = Arena(impl_->fabric->memory());
  model->gradients = Arena(impl_->fabric->memory());
  model->encoded = Arena(impl_->fabric->memory());
  model->name = name;
  model->options = configured(options);
  optim::check(model->options.schedule);
  optim::check_mode(model->options, impl_->workers());
  const optim::Optimizer validated(model->options, impl_->workers());
  impl_->models.push_back(std::move(model));
  return Model(impl_->models.back().get());
}

ModelOptions Session::configured(const ModelOptions& options) const {
  ModelOptions result = options;
  ops::apply(impl_->config, result);
  return result;
}

void Session::barrier() {
  impl_->collective("barrier()", {});
}

std::vector<double> Session::reduce(std::span<const double> values) {
  return impl_->collective("reduce()", {values.begin(), values.end()});
}

std::pair<std::uint64_t, std::uint64_t> Session::slice(std::uint64_t n) const noexcept {
  // Without a product that could overflow: the first n % N ranks have one more.
  const std::uint64_t each = n / workers();
  const std::uint64_t more = n % workers();
  const std::uint64_t r = rank();
  const std::uint64_t begin = r * each + std::min<std::uint64_t>(r, more);
  return {begin, begin + each + (r < more ? 1 : 0)};
}

void Session::progress(const std::string& text) {
  impl_->progress->update(text);
}

void Session::finish() {
  impl_->finish();
}

}  // namespace ps
