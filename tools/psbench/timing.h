// Times of one piece of work, repeated: processor time of the calling thread, of which other
// programs on the machine take none.
#pragma once

#include <functional>
#include <vector>

namespace psbench {

double seconds_of(const std::function<void()>& body);

struct Samples {
  std::vector<double> seconds;

  void add(const std::function<void()>& body) { seconds.push_back(seconds_of(body)); }
  // 0 for none.
  [[nodiscard]] double median() const;
};

}  // namespace psbench
