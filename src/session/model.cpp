// A model's table: its parameters, its start, what is known of it. Steps are in model_steps.cpp.
#include <algorithm>
#include <bit>
#include <utility>
#include <xxhash.h>

#include <ps/error.h>
#include <ps/model.h>

#include "optim/groups.h"
#include "optim/modes.h"
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

// --- Model
// ---------------------------------------------------------------------------------------------------

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
  parameter->weights = impl_->weights.allocate(bytes);
  parameter->gradients = impl_->gradients.allocate(bytes);
  if (initializer) initializer(parameter->weights.as<float>());
  const Parameter handle(parameter.get());
  impl_->storage.push_back(std::move(parameter));
  impl_->parameters.push_back(handle);
  return handle;
}

void Model::start() {
  if (impl_->index)
    throw Error(ErrorCode::kInvalidArgument, "model '" + impl_->name + "' was started already");
  impl_->check_restored();
  worker::Worker::ModelSetup setup;
  setup.name = impl_->name;
  setup.options = impl_->options;
  std::vector<std::string> names;
  std::vector<worker::Replica::Tensor> tensors;
  std::vector<worker::Accumulator::Tensor> sums;
  for (const auto& parameter : impl_->storage) {
    names.push_back(parameter->info.name);
    tensors.push_back({parameter->info, parameter->weights, parameter->gradients});
    sums.push_back({parameter->info.kind, parameter->gradients});
    setup.parameters.push_back(parameter->info);
    setup.weights.push_back(parameter->weights);
    setup.gradients.push_back(parameter->gradients);
  }
  if (const auto groups = optim::resolve_groups(impl_->options, names); !groups.unmatched.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "parameter group '" + groups.unmatched.front() +
                    "' matches no parameter of model '" + impl_->name + "', which has " +
                    (names.empty() ? "none" : "'" + names.front() + "' and others"));
  }
  impl_->accumulator = worker::Accumulator(impl_->options.reduce, std::move(sums));
  if (optim::updates_on_workers(impl_->options)) {
    impl_->replica = std::make_shared<worker::Replica>(impl_->options, impl_->session->workers(),
                                                       std::move(tensors));
    const worker::Replica::Travel& travel = impl_->replica->travel();
    setup.parameters = travel.parameters;
    setup.weights = travel.weights;
    setup.gradients = travel.gradients;
  }
  impl_->start_from(setup);
  const auto slot = static_cast<std::size_t>(std::ranges::count_if(
      impl_->session->models, [](const auto& model) { return model->index.has_value(); }));
  const auto started = impl_->session->runtime->submit(
      "start() of model '" + impl_->name + "'",
      [setup = std::move(setup)](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                                 cluster::Outbox& out) {
        worker.add_model(ticket, setup, now, out);
      });
  started->wait(std::nullopt);
  if (impl_->replica) impl_->replica->started();
  if (impl_->options.update == Update::kAllReduce) impl_->connect_ring();
  impl_->restored = {};
  impl_->index = slot;
}

void Model::Impl::connect_ring() {
  if (session->workers() == 1) return;
  const std::string& directory = session->config.transport.directory;
  if (directory.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "all-reduce needs workers in processes of their own, that find each other in the "
                "directory transport.directory: start the program with psrun");
  }
  const auto shares = replica->shares();
  std::size_t floats = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const wire::ParameterInfo& info = storage[i]->info;
    if (info.kind != ParameterKind::kTrained && info.kind != ParameterKind::kAverage) {
      throw Error(
          ErrorCode::kInvalidArgument,
          "parameter '" + info.name + "': all-reduce takes trained and average parameters only");
    }
    floats += shares[i].from.size();
  }
  ring = AllReduce::connect({.rank = session->rank(),
                             .workers = session->workers(),
                             .directory = directory,
                             .name = "ring-" + name,
                             .host = session->config.transport.host,
                             .patience = std::chrono::duration_cast<std::chrono::milliseconds>(
                                 ops::timing(session->config.cluster).deadline)},
                            shares.size(), floats);
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
