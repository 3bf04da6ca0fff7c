// Times of one piece of work, repeated; work measured in turns; and the last line that --json asks
// for.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace psbench {

// Wall-clock time, seconds, from an arbitrary zero.
double now();
// Processor time of the calling thread, of which other programs on the machine take none.
double seconds_of(const std::function<void()>& body);

struct Samples {
  std::vector<double> seconds;

  void add(const std::function<void()>& body) { seconds.push_back(seconds_of(body)); }
  // These are 0 for no samples.
  [[nodiscard]] double median() const { return quantile(0.5); }
  [[nodiscard]] double quantile(double q) const;
  // Between the quartiles, as a share of the median.
  [[nodiscard]] double spread() const;
};

// Pieces of work that run one after the other, again and again, so that whatever else the machine
// does meets all alike. Processor time; short pieces are repeated within a sample.
class Turns {
 public:
  // The samples are there, and stay where they are, as long as this.
  const Samples& add(std::function<void()> body);
  // At least three turns after one to warm up.
  void run(double seconds);

 private:
  struct Piece {
    std::function<void()> body;
    Samples samples;
    int repeats = 1;
  };
  std::deque<Piece> pieces_;
};

// What was reached and what this machine allows, as measured in the same run.
struct Score {
  double goodput = 0.0;
  double limit = 0.0;
  std::string unit = "GB/s";

  [[nodiscard]] double ratio() const { return limit > 0.0 ? goodput / limit : 0.0; }
};

// Prints the score and `more` as one line of JSON.
void print_json(const Score& score, const nlohmann::json& more);

}  // namespace psbench
