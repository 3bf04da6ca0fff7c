// A few channels after the others, so that their planes stay in the cache between the passes over
// them, and yet each image's part is long enough to be fetched ahead.
#include "kernels/batch_norm.h"
#include "kernels/batch_norm_math.h"
#include "kernels/lanes.h"
#include "kernels/silu_cpu.h"

namespace ps::kernels::PS_ISA {
namespace {

using Index = std::int64_t;

constexpr Index kMostChannels = 16;

// Channels [first, first + count), handled together.
struct Channels {
  Index first;
  Index count;
};

template <class Body>
void for_channels(const BatchNorm& norm, const Body& body) {
  constexpr Index kFloats = 1024;  // of an image
  const Index fitting = kFloats / norm.plane;
  const Index step = fitting < 1 ? 1 : (fitting < kMostChannels ? fitting : kMostChannels);
  for (Index first = 0; first < norm.channels; first += step) {
    body(Channels{first, norm.channels - first < step ? norm.channels - first : step});
  }
}

// Calls visit(which of the channels, offset of a plane) for their planes, a channel's in order.
template <class Visit>
void for_planes(const BatchNorm& norm, const Channels& channels, const Visit& visit) {
  for (Index n = 0; n < norm.batch; ++n) {
    for (Index i = 0; i < channels.count; ++i) {
      visit(i, (n * norm.channels + channels.first + i) * norm.plane);
    }
  }
}

NormLine line_of(const BatchNorm& norm, Index channel, float mean, float variance) {
  return norm_line(norm.gamma[channel], norm.beta[channel], mean,
                   inverse_deviation(variance, norm.epsilon));
}

void normalize(const BatchNorm& norm,
               const Channels& channels,
               const float* x,
               float* y,
               const float* mean,
               const float* variance) {
  for_planes(norm, channels, [&](Index i, Index offset) {
    const Index channel = channels.first + i;
    const NormLine line = line_of(norm, channel, mean[channel], variance[channel]);
    const float* in = x + offset;
    float* out = y + offset;
    const auto normal = [=](Index k) { return line.at(in[k]); };
    if (norm.silu) return silu(normal, out, norm.plane);
    PS_INDEPENDENT_LOOP
    for (Index k = 0; k < norm.plane; ++k) out[k] = normal(k);
  });
}

void forward_training(
    const BatchNorm& norm, const float* x, float* y, float* mean, float* variance) {
  const auto count = static_cast<double>(norm.batch * norm.plane);
  for_channels(norm, [&](const Channels& channels) {
    double totals[kMostChannels] = {};
    for_planes(norm, channels, [&](Index i, Index offset) {
      totals[i] += sum(norm.plane, [in = x + offset](Index k) { return in[k]; });
    });
    for (Index i = 0; i < channels.count; ++i) {
      mean[channels.first + i] = static_cast<float>(totals[i] / count);
      totals[i] = 0.0;
    }
    // Around the mean, in a second pass: E[x^2] - E[x]^2 would cancel.
    for_planes(norm, channels, [&](Index i, Index offset) {
      totals[i] += sum(norm.plane, [in = x + offset, center = mean[channels.first + i]](Index k) {
        const float deviation = in[k] - center;
        return deviation * deviation;
      });
    });
    for (Index i = 0; i < channels.count; ++i) {
      variance[channels.first + i] = static_cast<float>(totals[i] / count);
    }
    normalize(norm, channels, x, y, mean, variance);
  });
}

void forward_evaluation(
    const BatchNorm& norm, const float* x, float* y, const float* mean, const float* variance) {
  for_channels(norm,
               [&](const Channels& channels) { normalize(norm, channels, x, y, mean, variance); });
}

// What the input's gradient is made of.
struct Sums {
  double dy;
  double dy_x;  // of dy * (x - mean)
};

void add(const float* dy, const float* x, float mean, Index count, Sums* sums) {
  sums->dy += sum(count, [dy](Index i) { return dy[i]; });
  sums->dy_x += sum(count, [dy, x, mean](Index i) { return dy[i] * (x[i] - mean); });
}

// Adds the gradient before the activation, which goes to dx unless that is null.
void add_silu(
    const BatchNormBackward& a, const NormLine& line, Index offset, Index plane, Sums* sums) {
  // Piece by piece, so that the sums find it in the first-level cache.
  float unwanted[kSiluPiece];
  for (Index first = 0; first < plane; first += kSiluPiece) {
    const Index count = plane - first < kSiluPiece ? plane - first : kSiluPiece;
    const float* x = a.x + offset + first;
    float* inner = a.dx == nullptr ? unwanted : a.dx + offset + first;
    const auto normal = [=](Index i) { return line.at(x[i]); };
    silu_backward(normal, a.dy + offset + first, inner, count);
    add(inner, x, line.mean, count, sums);
  }
}

void backward_planes(const BatchNorm& norm,
                     const BatchNormBackward& a,
                     const Channels& channels,
                     const Sums* sums) {
  const auto count = static_cast<double>(norm.batch * norm.plane);
  for_planes(norm, channels, [&](Index i, Index offset) {
    const Index channel = channels.first + i;
    const double inverse = inverse_deviation(a.variance[channel], norm.epsilon);
    const NormSlope slope{.mean = a.mean[channel],
                          .scale = norm.gamma[channel] * static_cast<float>(inverse),
                          .mean_dy = static_cast<float>(sums[i].dy / count),
                          .slope = static_cast<float>(sums[i].dy_x * inverse / count * inverse)};
    const float* x = a.x + offset;
    const float* dy = (norm.silu ? a.dx : a.dy) + offset;
    float* dx = a.dx + offset;
    PS_INDEPENDENT_LOOP
    for (Index k = 0; k < norm.plane; ++k) {
      dx[k] = slope.at(x[k], dy[k]);
    }
  });
}

void backward(const BatchNorm& norm, const BatchNormBackward& a) {
  for_channels(norm, [&](const Channels& channels) {
    Sums sums[kMostChannels] = {};
    for_planes(norm, channels, [&](Index i, Index offset) {
      const Index channel = channels.first + i;
      if (norm.silu) {
        const NormLine line = line_of(norm, channel, a.mean[channel], a.variance[channel]);
        add_silu(a, line, offset, norm.plane, &sums[i]);
      } else {
        add(a.dy + offset, a.x + offset, a.mean[channel], norm.plane, &sums[i]);
      }
    });
    for (Index i = 0; i < channels.count; ++i) {
      const Index channel = channels.first + i;
      const float inverse = inverse_deviation(a.variance[channel], norm.epsilon);
      a.dbeta[channel] = static_cast<float>(sums[i].dy);
      a.dgamma[channel] = static_cast<float>(sums[i].dy_x * double{inverse});
    }
    if (a.dx != nullptr) backward_planes(norm, a, channels, sums);
  });
}

}  // namespace

extern const BatchNormOps batch_norm_ops{.forward_training = forward_training,
                                         .forward_evaluation = forward_evaluation,
                                         .backward = backward};

}  // namespace ps::kernels::PS_ISA
