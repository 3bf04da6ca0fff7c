// A genetic search over hyper-parameters: what to try next, given how the trials so far went. Pure.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "hyperparameters.h"

namespace detect {

struct Trial {
  double fitness = 0.0;
  double map50 = 0.0;
  double map50_95 = 0.0;
  std::vector<float> values;  // of the genes
};

class Evolution {
 public:
  // genes: names of hyper-parameters; empty: those of augmentation. The same seed and the same
  // judgements give the same search. Throws ps::Error(kInvalidArgument) for a name that is none.
  Evolution(const Hyperparameters& start,
            const std::vector<std::string>& genes,
            std::uint64_t seed);

  [[nodiscard]] const std::vector<std::string>& genes() const noexcept { return genes_; }
  // The first is `start`; from then on two good trials' genes mixed, and changed by about a tenth.
  Hyperparameters next();
  void judge(const Trial& trial);
  // REQUIRES: a trial was judged. Of equals the first.
  [[nodiscard]] const Trial& best() const;

  [[nodiscard]] std::vector<float> values(const Hyperparameters& hyperparameters) const;
  [[nodiscard]] Hyperparameters with(const std::vector<float>& values) const;

 private:
  const Trial& parent();
  double uniform();

  const Hyperparameters start_;
  std::vector<std::string> genes_;
  std::vector<const HyperparameterField*> fields_;
  std::mt19937_64 random_;  // the standard fixes its numbers on every machine
  std::vector<Trial> trials_;
};

}  // namespace detect
