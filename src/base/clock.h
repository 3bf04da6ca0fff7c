// Monotonic time. Cores get `now` as an argument; only a loop asks a Clock. Wall-clock time is for
// logs alone.
#pragma once

#include <chrono>
#include <cstdint>

namespace ps {

// Nanoseconds on a monotonic clock whose zero has no meaning.
using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

inline constexpr TimePoint kNever = TimePoint::max();

inline double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual TimePoint now() const noexcept = 0;
};

class MonotonicClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override { return std::chrono::steady_clock::now(); }
};

// Stands still until a test or the simulator moves it.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override { return now_; }
  void set(TimePoint now) noexcept { now_ = now; }
  void advance(Duration by) noexcept { now_ += by; }

 private:
  TimePoint now_{std::chrono::seconds(1)};
};

}  // namespace ps
