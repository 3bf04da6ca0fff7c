// What happens next: the earliest of one time per node, kept as a tournament. A node that sends has
// only its next message here, so the calendar is as large as the cluster, however much is queued.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

namespace pssim {

inline constexpr double kNeverSeconds = std::numeric_limits<double>::infinity();

class Calendar {
 public:
  explicit Calendar(std::uint32_t nodes)
      : leaves_(std::bit_ceil(nodes)), times_(leaves_, kNeverSeconds), winners_(leaves_) {
    for (std::uint32_t i = 0; i < leaves_; ++i) set(i, kNeverSeconds);
  }

  // Of this node; kNeverSeconds: nothing.
  void set(std::uint32_t node, double time) {
    times_[node] = time;
    for (std::uint32_t place = (leaves_ + node) / 2; place > 0; place /= 2) {
      const std::uint32_t left = player(2 * place);
      const std::uint32_t right = player(2 * place + 1);
      winners_[place] = times_[right] < times_[left] ? right : left;  // of equals the first
    }
  }
  [[nodiscard]] std::uint32_t first() const { return leaves_ == 1 ? 0 : winners_[1]; }
  [[nodiscard]] double time(std::uint32_t node) const { return times_[node]; }

 private:
  [[nodiscard]] std::uint32_t player(std::uint32_t place) const {
    return place < leaves_ ? winners_[place] : place - leaves_;
  }

  std::uint32_t leaves_;
  std::vector<double> times_;
  std::vector<std::uint32_t> winners_;
};

}  // namespace pssim
