#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>
#include <xxhash.h>

#include <ps/error.h>
#include <ps/model.h>

#include "server/groups.h"
#include "server/optimizer.h"
#include "session/session_impl.h"

namespace ps {
namespace {

static_assert(std::endian::native == std::endian::little,
              "weights are hashed and sent as little-endian floats in place");

constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 40;

std::uint64_t checked_elements(const std::string& name, const std::vector<std::int64_t>& shape) {
  std::uint64_t product = 1;
  for (const std::int64_t dimension : shape) {
    if (dimension < 1 || product > kMaxElements / static_cast<std::uint64_t>(dimension)) {
      throw Error(ErrorCode::kInvalidArgument,
                  "parameter '" + name +
                      "': every dimension must be at least 1 and the product at most 2^40, got " +
                      std::to_string(dimension));
    }
    product *= static_cast<std::uint64_t>(dimension);
  }
  return product;
}

std::uint32_t samples_of(double weight, std::optional<std::uint32_t> samples) {
  if (!server::usable_weight(weight)) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "a step's weight must be 0 or between 1e-30 and 1e30, got " + std::to_string(weight));
  }
  constexpr double kLargest = std::numeric_limits<std::uint32_t>::max();
  return samples.value_or(static_cast<std::uint32_t>(std::min(std::round(weight), kLargest)));
}

}  // namespace

// --- Parameter
// -----------------------------------------------------------------------------------------------

const std::string& Parameter::name() const {
  return impl_->info.name;
}
const std::vector<std::int64_t>& Parameter::shape() const {
  return impl_->info.shape;
}
std::span<float> Parameter::weights() const {
  return impl_->weights.as<float>();
}
std::span<float> Parameter::gradients() const {
  return impl_->gradients.as<float>();
}

void Parameter::push_pull() const {
  if (!impl_->model->in_step) {
    throw Error(ErrorCode::kInvalidArgument,
                "push_pull() of '" + name() + "' outside a step: call Model::begin_step() first");
  }
  impl_->model->session->runtime->tell(
      [model = *impl_->model->index, index = impl_->index](worker::Worker& worker, TimePoint now,
                                                           cluster::Outbox& out) {
        worker.ready(model, index, now, out);
      });
}

void Parameter::skip() const {
  if (!impl_->model->in_step) {
    throw Error(ErrorCode::kInvalidArgument,
                "skip() of '" + name() + "' outside a step: call Model::begin_step() first");
  }
  impl_->model->session->runtime->tell(
      [model = *impl_->model->index, index = impl_->index](worker::Worker& worker, TimePoint now,
                                                           cluster::Outbox& out) {
        worker.skip(model, index, now, out);
      });
}

// --- Model
// ---------------------------------------------------------------------------------------------------

void Model::Impl::check_idle(const std::string& what) const {
  if (!index)
    throw Error(ErrorCode::kInvalidArgument, what + " before start() of model '" + name + "'");
  if (in_step || (last && !last->done())) {
    throw Error(ErrorCode::kInvalidArgument, what + " while a step of model '" + name +
                                                 "' is under way: wait for its Pending first");
  }
}

Parameter Model::add(const std::string& name,
                     const std::vector<std::int64_t>& shape,
                     const Initializer& initializer,
                     ParameterKind kind) {
  if (impl_->index)
    throw Error(ErrorCode::kInvalidArgument, "parameter '" + name + "' is added after start()");
  if (name.empty() || name.size() > 256) {
    throw Error(ErrorCode::kInvalidArgument,
                "a parameter's name has 1 to 256 bytes, got " + std::to_string(name.size()));
  }
  const bool known = std::ranges::any_of(
      impl_->storage, [&](const auto& other) { return other->info.name == name; });
  if (known)
    throw Error(ErrorCode::kInvalidArgument, "there is a parameter '" + name + "' already");
  auto parameter = std::make_unique<Parameter::Impl>();
  const std::size_t bytes = checked_elements(name, shape) * sizeof(float);
  parameter->model = impl_;
  parameter->index = static_cast<std::uint32_t>(impl_->storage.size());
  parameter->info = {name, shape, kind};
  parameter->weights = Memory::allocate(bytes);
  parameter->gradients = Memory::allocate(bytes);
  if (initializer) initializer(parameter->weights.as<float>());
  const Parameter handle(parameter.get());
  impl_->storage.push_back(std::move(parameter));
  impl_->parameters.push_back(handle);
  return handle;
}

void Model::start() {
  if (impl_->index)
    throw Error(ErrorCode::kInvalidArgument, "model '" + impl_->name + "' was started already");
  worker::Worker::ModelSetup setup;
  setup.name = impl_->name;
  setup.options = impl_->options;
  std::vector<std::string> names;
  for (const auto& parameter : impl_->storage) {
    names.push_back(parameter->info.name);
    setup.parameters.push_back(parameter->info);
    setup.weights.push_back(parameter->weights);
    setup.gradients.push_back(parameter->gradients);
  }
  if (const auto groups = server::resolve_groups(impl_->options, names);
      !groups.unmatched.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "parameter group '" + groups.unmatched.front() +
                    "' matches no parameter of model '" + impl_->name + "', which has " +
                    (names.empty() ? "none" : "'" + names.front() + "' and others"));
  }
  const auto slot = static_cast<std::size_t>(std::ranges::count_if(
      impl_->session->models, [](const auto& model) { return model->index.has_value(); }));
  const auto started = impl_->session->runtime->submit(
      "start() of model '" + impl_->name + "'",
      [setup = std::move(setup)](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                                 cluster::Outbox& out) {
        worker.add_model(ticket, setup, now, out);
      });
  started->wait(std::nullopt);
  impl_->index = slot;
}

void Model::begin_step(double weight, std::optional<std::uint32_t> samples) {
  impl_->check_idle("begin_step()");
  const worker::StepBegin begin{worker::Verb::kPushPull, weight, samples_of(weight, samples)};
  impl_->session->runtime->tell(
      [model = *impl_->index, begin](worker::Worker& worker, TimePoint now, cluster::Outbox& out) {
        worker.begin_step(model, begin, now, out);
      });
  impl_->in_step = true;
}

Pending Model::push_pull() {
  if (!impl_->in_step) {
    throw Error(ErrorCode::kInvalidArgument, "push_pull() of model '" + impl_->name +
                                                 "' without begin_step(): say push_pull(weight)");
  }
  impl_->in_step = false;
  impl_->last = impl_->session->runtime->submit(
      "push_pull()",
      [model = *impl_->index](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                              cluster::Outbox& out) { worker.end_step(ticket, model, now, out); });
  return Pending(impl_->last);
}

Pending Model::push_pull(double weight, std::optional<std::uint32_t> samples) {
  begin_step(weight, samples);
  return push_pull();
}

Pending Model::push(double weight, std::optional<std::uint32_t> samples) {
  impl_->check_idle("push()");
  const worker::StepBegin begin{worker::Verb::kPush, weight, samples_of(weight, samples)};
  impl_->last = impl_->session->runtime->submit(
      "push()", [model = *impl_->index, begin](worker::Worker& worker, worker::Ticket ticket,
                                               TimePoint now, cluster::Outbox& out) {
        worker.begin_step(model, begin, now, out);
        worker.end_step(ticket, model, now, out);
      });
  return Pending(impl_->last);
}

Pending Model::pull() {
  impl_->check_idle("pull()");
  impl_->last = impl_->session->runtime->submit(
      "pull()",
      [model = *impl_->index](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                              cluster::Outbox& out) { worker.pull(ticket, model, now, out); });
  return Pending(impl_->last);
}

const std::string& Model::name() const {
  return impl_->name;
}
const ModelOptions& Model::options() const {
  return impl_->options;
}
std::span<const Parameter> Model::parameters() const {
  return impl_->parameters;
}

std::uint64_t Model::hash() const {
  std::vector<const Parameter::Impl*> sorted;
  for (const auto& parameter : impl_->storage) sorted.push_back(parameter.get());
  std::ranges::sort(sorted, {}, [](const Parameter::Impl* parameter) -> const std::string& {
    return parameter->info.name;
  });
  const std::unique_ptr<XXH64_state_t, XXH_errorcode (*)(XXH64_state_t*)> state(XXH64_createState(),
                                                                                XXH64_freeState);
  XXH64_reset(state.get(), 0);
  for (const auto* parameter : sorted)
    XXH64_update(state.get(), parameter->weights.bytes().data(), parameter->weights.size());
  return XXH64_digest(state.get());
}

}  // namespace ps
