#include "evolution.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include <ps/error.h>

namespace detect {
namespace {

constexpr std::size_t kPopulation = 50;  // the best trials are parents
constexpr int kTournament = 3;           // of so many at random the best is taken
constexpr double kMutated = 0.8;         // chance of a gene
constexpr double kMutation = 0.1;        // standard deviation, as part of the value
constexpr double kFromZero = 0.02;       // and of the range, so that zeros can leave

constexpr std::array kAugmentation{"hsv_h",  "hsv_s", "hsv_v",       "degrees",   "translate",
                                   "scale",  "shear", "perspective", "flipud",    "fliplr",
                                   "mosaic", "mixup", "cutmix",      "copy_paste"};

// No more than makes sense, where the file's range is wider.
float highest(const HyperparameterField& field) {
  if (field.name == "degrees") return 45.0F;
  if (field.name == "shear") return 10.0F;
  if (field.name == "translate" || field.name == "scale") return 0.9F;
  if (field.name == "hsv_h") return 0.1F;
  if (field.name == "lr0") return 0.1F;
  return std::min(field.high, 10.0F);
}

}  // namespace

Evolution::Evolution(const Hyperparameters& start,
                     const std::vector<std::string>& genes,
                     std::uint64_t seed)
    : start_(start), genes_(genes), random_(seed) {
  if (genes_.empty()) genes_.assign(kAugmentation.begin(), kAugmentation.end());
  const auto& all = hyperparameter_fields();
  for (const std::string& gene : genes_) {
    const auto found = std::ranges::find(all, gene, &HyperparameterField::name);
    if (found == all.end() || found->value == nullptr) {
      throw ps::Error(ps::ErrorCode::kInvalidArgument,
                      "--genes: there is no hyper-parameter \"" + gene + "\" with a number");
    }
    fields_.push_back(&*found);
  }
}

double Evolution::uniform() {
  return static_cast<double>(random_() >> 11U) * 0x1p-53;
}

const Trial& Evolution::parent() {
  const std::size_t size = std::min(trials_.size(), kPopulation);
  std::size_t best = size;
  for (int i = 0; i < kTournament; ++i) {
    best = std::min(best, static_cast<std::size_t>(uniform() * static_cast<double>(size)));
  }
  return trials_[best];
}

Hyperparameters Evolution::next() {
  if (trials_.empty()) return start_;
  const std::vector<float> mother = parent().values;
  const std::vector<float> father = parent().values;
  std::vector<float> child;
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const float low = fields_[i]->low;
    const float high = std::max(highest(*fields_[i]), low);
    double value = uniform() < 0.5 ? mother[i] : father[i];
    const double normal =
        std::sqrt(-2.0 * std::log(1.0 - uniform())) * std::cos(2.0 * std::numbers::pi * uniform());
    if (uniform() < kMutated) {
      value += normal * (kMutation * std::abs(value) + kFromZero * static_cast<double>(high - low));
    }
    child.push_back(std::clamp(static_cast<float>(value), low, high));
  }
  return with(child);
}

void Evolution::judge(const Trial& trial) {
  const auto worse = std::ranges::find_if(
      trials_, [&](const Trial& other) { return other.fitness < trial.fitness; });
  trials_.insert(worse, trial);
}

const Trial& Evolution::best() const {
  return trials_.front();
}

std::vector<float> Evolution::values(const Hyperparameters& hyperparameters) const {
  Hyperparameters copy = hyperparameters;
  std::vector<float> result;
  for (const HyperparameterField* field : fields_) result.push_back(*field->value(copy));
  return result;
}

Hyperparameters Evolution::with(const std::vector<float>& values) const {
  Hyperparameters result = start_;
  for (std::size_t i = 0; i < fields_.size(); ++i) *fields_[i]->value(result) = values[i];
  return result;
}

}  // namespace detect
