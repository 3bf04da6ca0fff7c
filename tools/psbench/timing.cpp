#include "timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace psbench {
namespace {

constexpr double kShortestSample = 1e-3;
constexpr int kLeastTurns = 3;

double thread_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double seconds_of(const std::function<void()>& body) {
  const double start = thread_time();
  body();
  return thread_time() - start;
}

double Samples::quantile(double q) const {
  if (seconds.empty()) return 0.0;
  std::vector<double> sorted = seconds;
  const auto at =
      std::min(sorted.size() - 1, static_cast<std::size_t>(q * static_cast<double>(sorted.size())));
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(at), sorted.end());
  return sorted[at];
}

double Samples::spread() const {
  const double middle = median();
  return middle > 0.0 ? (quantile(0.75) - quantile(0.25)) / middle : 0.0;
}

const Samples& Turns::add(std::function<void()> body) {
  pieces_.push_back({.body = std::move(body), .samples = {}});
  return pieces_.back().samples;
}

void Turns::run(double seconds) {
  for (Piece& piece : pieces_) {
    piece.body();
    const double once = std::max(1e-7, seconds_of(piece.body));
    piece.repeats = std::max(1, static_cast<int>(std::ceil(kShortestSample / once)));
  }
  const double end = now() + seconds;
  for (int turn = 0; turn < kLeastTurns || now() < end; ++turn) {
    for (Piece& piece : pieces_) {
      const double total = seconds_of([&] {
        for (int i = 0; i < piece.repeats; ++i) piece.body();
      });
      piece.samples.seconds.push_back(total / piece.repeats);
    }
  }
}

void print_json(const Score& score, const nlohmann::json& more) {
  nlohmann::json line{{"goodput", score.goodput},
                      {"unit", score.unit},
                      {"limit", score.limit},
                      {"ratio", score.ratio()}};
  line.update(more);
  std::printf("%s\n", line.dump().c_str());
}

}  // namespace psbench
