#include "validation.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <vector>

#include "gather.h"
#include "setup.h"

namespace detect {
namespace {

using ps::vision::TruthBox;

std::int64_t class_count(const Network& network, const ValidationOptions& options) {
  return options.single_class ? 1 : static_cast<std::int64_t>(network.spec().names.size());
}

std::vector<std::vector<TruthBox>> truth_of(const ps::vision::DetectionBatch& batch) {
  std::vector<std::vector<TruthBox>> truth(batch.indices.size());
  const auto height = static_cast<float>(batch.size.height);
  const auto width = static_cast<float>(batch.size.width);
  for (const ps::nn::Target& target : batch.targets) {
    truth[static_cast<std::size_t>(target.image)].push_back(
        {.x1 = (target.x - target.width / 2) * width,
         .y1 = (target.y - target.height / 2) * height,
         .x2 = (target.x + target.width / 2) * width,
         .y2 = (target.y + target.height / 2) * height,
         .category = target.category});
  }
  return truth;
}

// This worker's part.
class Slice {
 public:
  Slice(Inference& inference, Network& network, const ValidationOptions& options)
      : inference_(inference),
        network_(network),
        options_(options),
        scores_(class_count(network, options)),
        network_seconds_(inference.network_seconds()),
        nms_seconds_(inference.nms_seconds()) {
    if (options.loss != nullptr) {
      criterion_.emplace(network.at(options.size).head(), *options.loss, options.batch);
    }
  }

  void judge(const ps::vision::DetectionBatch& batch,
             const std::function<void(const Judged&)>& see) {
    const auto n = static_cast<std::int64_t>(batch.indices.size());
    const auto boxes = inference_.run(batch.images, n, batch.size);
    std::vector<std::vector<ps::nn::Detection>> found(boxes.begin(), boxes.end());
    const std::vector<std::vector<TruthBox>> truth = truth_of(batch);
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (options_.single_class) {
        for (ps::nn::Detection& each : found[i]) each.category = 0;
      }
      scores_.add(static_cast<std::int64_t>(batch.indices[i]), found[i], truth[i]);
    }
    images_ += static_cast<double>(n);
    if (criterion_) add_loss(batch, n);
    if (see) see({batch, found, truth});
  }

  Validation finish(ps::Session& session, double seconds_waited) {
    const double images = std::max(images_, 1.0);
    const std::vector<double> sums =
        session.reduce(std::vector{losses_[0], losses_[1], losses_[2], images_});
    Validation result;
    for (std::size_t i = 0; i < 3; ++i) result.losses[i] = sums[i] / std::max(sums[3], 1.0);
    const std::vector<double> times =
        gather(session, {1e3 * seconds_waited / images,
                         1e3 * (inference_.network_seconds() - network_seconds_) / images,
                         1e3 * (inference_.nms_seconds() - nms_seconds_) / images});
    for (std::size_t i = 0; i < times.size(); ++i) {
      result.milliseconds[i % 3] = std::max(result.milliseconds[i % 3], times[i]);
    }
    result.report = merged(session).report(options_.kind);
    return result;
  }

 private:
  void add_loss(const ps::vision::DetectionBatch& batch, std::int64_t n) {
    const ps::nn::DetectionLoss loss = inference_.loss(*criterion_, batch.targets);
    const std::array<double, 3> parts =
        weighted_parts(loss, *options_.loss, network_.at(options_.size).head());
    for (std::size_t i = 0; i < parts.size(); ++i) losses_[i] += parts[i] * static_cast<double>(n);
  }

  ps::vision::DetectionScores merged(ps::Session& session) const {
    const std::vector<double> packed = scores_.pack();
    std::vector<double> mine{static_cast<double>(packed.size())};
    mine.insert(mine.end(), packed.begin(), packed.end());
    const std::vector<double> all = gather(session, mine);
    ps::vision::DetectionScores whole(class_count(network_, options_));
    for (std::size_t i = 0; i < all.size();) {
      const auto size = static_cast<std::size_t>(all[i]);
      whole.merge(std::span(all).subspan(i + 1, size));
      i += 1 + size;
    }
    return whole;
  }

  Inference& inference_;
  Network& network_;
  const ValidationOptions& options_;
  ps::vision::DetectionScores scores_;
  std::optional<ps::nn::DetectionCriterion> criterion_;
  std::array<double, 3> losses_{};
  double images_ = 0.0;
  const double network_seconds_;
  const double nms_seconds_;
};

}  // namespace

Validation validate(ps::Session& session,
                    Inference& inference,
                    Network& network,
                    const ps::vision::Dataset& data,
                    const ValidationOptions& options,
                    const std::function<void(const Judged&)>& see) {
  const auto [begin, end] = session.slice(data.size());
  const auto step = static_cast<std::size_t>(options.batch);
  ps::vision::BatchLoader loader(
      data, {.workers = options.loaders},
      [&options, step, next = std::size_t{begin},
       last = std::size_t{end}]() mutable -> std::optional<ps::vision::BatchOrder> {
        if (next >= last) return std::nullopt;
        std::vector<std::size_t> indices(std::min(step, last - next));
        std::iota(indices.begin(), indices.end(), next);
        next += indices.size();
        return ps::vision::BatchOrder{.indices = std::move(indices),
                                      .size = options.size,
                                      .augmentation = ps::vision::Augmentation::none()};
      });
  Slice slice(inference, network, options);
  while (const ps::vision::DetectionBatch* batch = loader.next()) {
    slice.judge(*batch, see);
    session.progress("validating");
  }
  return slice.finish(session, loader.seconds_waited());
}

}  // namespace detect
