#include <algorithm>
#include <numeric>
#include <utility>

#include <ps/error.h>
#include <ps/samples.h>

#include "base/random.h"
#include "optim/modes.h"
#include "session/session_impl.h"

namespace ps {
namespace {

// Batches that a leased block holds: few, so that workers end an epoch together, but a request to
// the scheduler is not paid for every step.
constexpr std::uint64_t kBatchesPerLease = 4;

}  // namespace

std::vector<std::uint32_t> epoch_order(std::uint64_t seed,
                                       std::uint32_t epoch,
                                       std::uint32_t size) {
  std::vector<std::uint32_t> order(size);
  std::iota(order.begin(), order.end(), 0U);
  Random random(seed, std::uint64_t{epoch} + 1);
  for (std::uint32_t i = size; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

class Samples::Impl {
 public:
  Session::Impl* session = nullptr;
  std::uint32_t size = 0;
  SampleOptions options;
  bool leased = false;
  // With backup workers: the rounds before the first step. Where the others went on without this
  // worker, so does its data: what it was to read has been passed over.
  std::optional<std::uint64_t> first_round;
  std::uint64_t stream = 0;

  void start() { step_ = options.first_step; }
  std::optional<Batch> next() { return leased ? next_leased() : next_in_lockstep(); }

 private:
  // Step k of an epoch is slice [k B, (k+1) B) of its order, split over the ranks.
  std::optional<Batch> next_in_lockstep() {
    const std::uint64_t per_epoch =
        (std::uint64_t{size} + options.global_batch - 1) / options.global_batch;
    const std::uint64_t steps = per_epoch * options.epochs;
    if (first_round) {
      const std::uint64_t rounds = session->runtime->newest_version();
      step_ = std::max(step_, options.first_step + rounds - std::min(rounds, *first_round));
    }
    if (step_ >= steps) return std::nullopt;
    const auto epoch = options.first_epoch + static_cast<std::uint32_t>(step_ / per_epoch);
    const std::uint64_t begin = step_ % per_epoch * options.global_batch;
    const std::uint64_t count = std::min<std::uint64_t>(options.global_batch, size - begin);
    const std::uint64_t first = begin + count * session->rank() / session->workers();
    const std::uint64_t last = begin + count * (session->rank() + 1) / session->workers();
    return make_batch(epoch, first, last, steps);
  }

  std::optional<Batch> next_leased() {
    const std::uint64_t batch =
        std::max<std::uint64_t>(options.global_batch / session->workers(), 1);
    if (lease_.begin == lease_.end) {
      wire::LeaseRequest request{.index = 0,
                                 .stream = stream,
                                 .dataset_size = size,
                                 .block = batch * kBatchesPerLease,
                                 .epochs = options.epochs};
      const auto state = session->runtime->submit(
          "waiting for samples",
          [request](worker::Worker& worker, worker::Ticket ticket, TimePoint now,
                    cluster::Outbox& out) { worker.lease(ticket, request, now, out); });
      lease_ = state->wait(std::nullopt).lease;
      if (lease_.done) return std::nullopt;
    }
    const std::uint64_t first = lease_.begin;
    lease_.begin = std::min(first + batch, lease_.end);
    const auto epoch = options.first_epoch + static_cast<std::uint32_t>(lease_.epoch);
    const std::uint64_t steps = std::uint64_t{size} * options.epochs / (batch * session->workers());
    return make_batch(epoch, first, lease_.begin, steps);
  }

  Batch make_batch(std::uint32_t epoch,
                   std::uint64_t first,
                   std::uint64_t last,
                   std::uint64_t steps) {
    if (order_.empty() || epoch != order_epoch_) {
      order_epoch_ = epoch;
      if (options.shuffle) {
        order_ = epoch_order(session->config.job.seed, epoch, size);
      } else if (order_.empty()) {
        order_.resize(size);
        std::iota(order_.begin(), order_.end(), 0U);
      }
    }
    const std::span<const std::uint32_t> slice = std::span(order_).subspan(first, last - first);
    return {
        .indices = {slice.begin(), slice.end()}, .epoch = epoch, .step = step_++, .steps = steps};
  }

  std::uint64_t step_ = 0;
  wire::LeaseGrant lease_;
  std::vector<std::uint32_t> order_;
  std::uint32_t order_epoch_ = 0;
};

Samples::Samples(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Samples::Samples(Samples&&) noexcept = default;
Samples& Samples::operator=(Samples&&) noexcept = default;
Samples::~Samples() = default;
std::optional<Batch> Samples::next() {
  return impl_->next();
}

Samples Session::samples(std::uint64_t dataset_size, const SampleOptions& options) {
  if (dataset_size == 0 || dataset_size > 0xFFFFFFFFULL) {
    throw Error(ErrorCode::kInvalidArgument,
                "samples() needs 1 to 2^32 - 1 samples, got " + std::to_string(dataset_size));
  }
  if (options.global_batch < workers()) {
    throw Error(ErrorCode::kInvalidArgument,
                "global_batch is " + std::to_string(options.global_batch) + ", but there are " +
                    std::to_string(workers()) + " workers: each needs a sample per step");
  }
  if (options.epochs == 0)
    throw Error(ErrorCode::kInvalidArgument, "samples() needs at least one epoch");
  const auto started = [](const auto& model) { return model->index.has_value(); };
  if (std::ranges::none_of(impl_->models, started)) {
    throw Error(ErrorCode::kInvalidArgument,
                "samples() before any model was started: the mode decides who reads what");
  }
  auto impl = std::make_unique<Samples::Impl>();
  impl->session = impl_.get();
  impl->size = static_cast<std::uint32_t>(dataset_size);
  impl->options = options;
  impl->leased = std::ranges::any_of(impl_->models, [&](const auto& model) {
    return started(model) && !optim::has_rounds(model->options.mode);
  });
  const std::uint64_t per_epoch = (dataset_size + options.global_batch - 1) / options.global_batch;
  if (options.first_step > 0 && (impl->leased || options.first_step >= per_epoch)) {
    throw Error(ErrorCode::kInvalidArgument,
                impl->leased
                    ? "first_step must be 0 where workers lease their samples: go on with an epoch"
                    : "first_step must be below the " + std::to_string(per_epoch) +
                          " steps of an epoch, got " + std::to_string(options.first_step));
  }
  impl->start();
  for (const auto& model : impl_->models) {
    const auto* sync = std::get_if<Sync>(&model->options.mode);
    if (sync != nullptr && sync->backup_workers > 0)
      impl->first_round = impl_->runtime->newest_version();
  }
  impl->stream = impl_->streams++;
  return Samples(std::move(impl));
}

}  // namespace ps
