// Plots as SVG text, for pages that need nothing else to be looked at.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace psbench {

// With &, <, > and quotes as entities.
std::string escaped(const std::string& text);

struct Line {
  std::string name;
  std::string colour;
  std::vector<std::pair<double, double>> points;
};
struct LinePlot {
  std::string title;
  std::string x;
  std::string y;
  double top = 0.0;  // of the y axis; 0: the greatest value
  std::vector<Line> lines;
};
// Axes from 0; a legend to the right. Values that are not finite are left out.
std::string draw(const LinePlot& plot);

struct Bar {
  std::string name;
  std::vector<double> parts;  // from the left, of BarPlot::parts
  double mark = 0.0;          // a line across the bar; 0: none
  std::string note;           // at its end
};
struct BarPlot {
  std::string title;
  std::string x;
  std::vector<std::string> parts;
  std::string mark;  // what a line means
  std::vector<Bar> bars;
};
std::string draw(const BarPlot& plot);

// A step for the ticks of an axis from 0 to `most`, so that there are 3 to 7 of them: 1, 2 or 5
// times a power of ten. 1 if most <= 0.
double tick_step(double most);

}  // namespace psbench
