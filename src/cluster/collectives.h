// Sums over all workers in ascending rank, so the result has the same bits everywhere. An empty one
// is a barrier. Workers call them in the same order; each knows its calls by a count from 0.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ps::cluster {

class Collectives {
 public:
  struct Outcome {
    std::optional<std::vector<double>> sum;  // set once everybody has contributed
    std::string error;                       // or not empty: two workers disagree on the length
  };

  explicit Collectives(std::uint32_t workers) : workers_(workers) {}

  // Takes a contribution (again, if it was sent again) and says what there is to answer. The last
  // results are kept for those whose answer was lost: nobody can be more than one call ahead of
  // another.
  Outcome contribute(std::uint32_t rank, std::uint64_t index, const std::vector<double>& values);

  // Who has not called `index` yet.
  [[nodiscard]] std::vector<std::uint32_t> missing(std::uint64_t index) const;

 private:
  struct Call {
    std::map<std::uint32_t, std::vector<double>> parts;
    std::optional<std::vector<double>> sum;
  };

  std::uint32_t workers_;
  std::map<std::uint64_t, Call> calls_;
  std::uint64_t oldest_ = 0;  // calls below it are forgotten
};

}  // namespace ps::cluster
