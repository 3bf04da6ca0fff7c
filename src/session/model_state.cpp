// A model's whole state, for checkpoints: where it comes from in each mode, and where it goes.
#include <algorithm>
#include <utility>

#include <ps/error.h>
#include <ps/model.h>

#include "session/checkpoint.h"
#include "session/session_impl.h"

namespace ps {

using Kind = worker::Replica::Kind;

std::vector<wire::ParameterInfo> Model::Impl::table() const {
  std::vector<wire::ParameterInfo> table;
  for (const auto& parameter : storage) table.push_back(parameter->info);
  return table;
}

SafetensorsFile Model::checkpoint() {
  impl_->check_idle("checkpoint()");
  if (impl_->accumulator.weight() > 0 || impl_->accumulator.samples() > 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "checkpoint() of model '" + impl_->name +
                    "' with gradients that accumulate() has put aside: take the step first");
  }
  worker::Snapshot snapshot;
  if (const auto& replica = impl_->replica; replica && replica->kind() != Kind::kElastic) {
    if (replica->kind() == Kind::kLocal && replica->differs()) {
      impl_->last = impl_->average();
      impl_->last->wait(std::nullopt);
    }
    snapshot = replica->snapshot();
  } else {
    impl_->last = impl_->session->runtime->submit(
        "checkpoint()",
        [model = *impl_->index](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                                cluster::Outbox& out) { worker.save(ticket, model, now, out); });
    snapshot = impl_->last->wait(std::nullopt).snapshot;
    impl_->last = nullptr;  // or it would keep all that until the next step
  }
  return session::to_file(snapshot, impl_->table(), impl_->options);
}

void Model::restore(const SafetensorsFile& checkpoint) {
  if (impl_->index) {
    throw Error(ErrorCode::kInvalidArgument,
                "restore() after start() of model '" + impl_->name + "': call it before");
  }
  impl_->restored = session::from_file(checkpoint, impl_->table(), impl_->options);
  impl_->checkpoint = session::hash_of(checkpoint);
  for (std::size_t i = 0; i < impl_->storage.size(); ++i) {
    const Memory& from = impl_->restored.parameters[i].parts.at(wire::Part::kWeights);
    std::ranges::copy(from.as<const float>(), impl_->storage[i]->weights.as<float>().begin());
  }
}

void Model::Impl::check_restored() const {
  if (checkpoint == 0 || restored.parameters.size() == storage.size()) return;
  throw Error(ErrorCode::kInvalidArgument,
              "parameter '" + storage[restored.parameters.size()]->info.name +
                  "' was added after restore(): add all parameters before");
}

void Model::Impl::start_from(worker::Worker::ModelSetup& setup) const {
  if (checkpoint == 0) return;
  setup.checkpoint = checkpoint;
  if (replica) replica->restore(restored);
  if (storage.empty() || session->rank() != 0) return;  // rank 0 assigns
  setup.initial = replica ? session::counts_only(restored, setup.parameters.size()) : restored;
}

}  // namespace ps
