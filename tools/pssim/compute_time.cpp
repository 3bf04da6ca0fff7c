#include "compute_time.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <ps/error.h>

namespace pssim {
namespace {

constexpr double kLargestSigma = 3.0;

// Of a step of mean 1.
double probability_below(const ComputeShape& shape, double x) {
  switch (shape.kind) {
    case ComputeShape::Kind::kConstant:
      return x >= 1.0 ? 1.0 : 0.0;
    case ComputeShape::Kind::kExponential:
      return x <= 0.0 ? 0.0 : -std::expm1(-x);
    case ComputeShape::Kind::kLognormal: {
      if (x <= 0.0) return 0.0;
      const double z = (std::log(x) + 0.5 * shape.sigma * shape.sigma) / shape.sigma;
      return 0.5 * std::erfc(-z / std::sqrt(2.0));
    }
  }
  return 0.0;
}

}  // namespace

ComputeShape parse_compute(const std::string& text) {
  if (text == "constant") return {};
  if (text == "exponential") return {.kind = ComputeShape::Kind::kExponential};
  const std::string prefix = "lognormal:";
  if (text.starts_with(prefix)) {
    double sigma = 0.0;
    const char* end = text.data() + text.size();
    const auto [stop, code] = std::from_chars(text.data() + prefix.size(), end, sigma);
    if (code == std::errc() && stop == end && sigma > 0.0 && sigma <= kLargestSigma)
      return {.kind = ComputeShape::Kind::kLognormal, .sigma = sigma};
  }
  throw ps::Error(ps::ErrorCode::kInvalidArgument,
                  "--compute is '" + text +
                      "'; expected constant, exponential, or lognormal:SIGMA with SIGMA above 0 "
                      "and at most 3, such as lognormal:0.3");
}

double ComputeTime::draw(bool slow, ps::Random& random) const {
  const double mean = slow ? straggler * mean_seconds : mean_seconds;
  switch (shape.kind) {
    case ComputeShape::Kind::kConstant:
      return mean;
    case ComputeShape::Kind::kExponential:
      return -mean * std::log1p(-random.uniform());
    case ComputeShape::Kind::kLognormal:
      return mean * std::exp(shape.sigma * random.normal() - 0.5 * shape.sigma * shape.sigma);
  }
  return mean;
}

double expected_longest(const ComputeTime& time, std::uint32_t workers) {
  if (!time.is_random())
    return time.mean_seconds * (workers > 1 ? std::max(time.straggler, 1.0) : time.straggler);
  // The integral of 1 - F(x)^(N-1) F(x / straggler) over u, where x = scale u / (1 - u).
  constexpr int kPoints = 200000;
  const double scale = std::max(1.0, time.straggler);
  double sum = 0.0;
  for (int i = 0; i < kPoints; ++i) {
    const double u = (i + 0.5) / kPoints;
    const double x = scale * u / (1.0 - u);
    const double all = std::pow(probability_below(time.shape, x), workers - 1.0) *
                       probability_below(time.shape, x / time.straggler);
    sum += (1.0 - all) / ((1.0 - u) * (1.0 - u));
  }
  return time.mean_seconds * scale * sum / kPoints;
}

}  // namespace pssim
