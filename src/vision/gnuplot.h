// Runs gnuplot on a script and its numbers in a run's subfolder "plots".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ps/vision/plots.h>

namespace ps::vision {

// A value that a script begins with; texts are quoted.
struct PlotValue {
  PlotValue(std::string name_, const std::string& text);
  PlotValue(std::string name_, std::int64_t number);

  std::string name;
  std::string value;  // as gnuplot reads it
};

// One folder's plots. What goes wrong is an Error(kIo), or kUnavailable where gnuplot is not there.
class Gnuplot {
 public:
  // Makes folder/plots.
  explicit Gnuplot(const std::string& folder);

  // The path of a file in folder/plots.
  [[nodiscard]] std::string path(const std::string& file) const { return plots_ + "/" + file; }
  // Writes a file there.
  void write(const std::string& file, const std::string& text) const;
  // Writes name.gp, `values` and then `body`, and runs it there.
  void draw(const std::string& name,
            std::span<const PlotValue> values,
            const std::string& body) const;

 private:
  std::string plots_;
};

// A name as it can stand in a table with tabs and in a plot: no more than so many characters, none
// of which means anything to gnuplot or is not UTF-8.
std::string plot_text(const std::string& name, std::size_t most = 16);

// "#rrggbb" of a class.
std::string color_text(std::int32_t category);

}  // namespace ps::vision
