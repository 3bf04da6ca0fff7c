#include "svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>

namespace psbench {
namespace {

constexpr double kLeft = 64.0;
constexpr double kTop = 34.0;
constexpr double kPlotWidth = 430.0;
constexpr double kPlotHeight = 250.0;
constexpr double kLegendWidth = 170.0;
constexpr double kBarLeft = 150.0;
constexpr double kBarStep = 24.0;
constexpr const char* kGrid = "#dddddd";
constexpr std::array kParts{"#3b75af", "#e8a33d", "#9a9a9a"};

template <class... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 512> text{};
  std::snprintf(text.data(), text.size(), pattern, values...);
  return text.data();
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return format("<text x='%.1f' y='%.1f' text-anchor='%s'>", x, y, anchor) + escaped(text) +
         "</text>\n";
}

std::string line_at(double x1, double y1, double x2, double y2, const char* colour) {
  return format("<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s'/>\n", x1, y1, x2, y2,
                colour);
}

std::string box_at(double x, double y, double width, double height, const char* colour) {
  return format("<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='%s'/>\n", x, y, width,
                height, colour);
}

std::string opening(double width, double height, const std::string& title) {
  return format(
             "<svg xmlns='http://www.w3.org/2000/svg' width='%.0f' height='%.0f' viewBox='0 0 %.0f "
             "%.0f' font-family='sans-serif' font-size='12'>\n",
             width, height, width, height) +
         box_at(0, 0, width, height, "white") +
         format("<text x='%.1f' y='18' font-size='14' font-weight='bold'>", 8.0) + escaped(title) +
         "</text>\n";
}

std::string number(double value) {
  if (std::abs(value) >= 1e6) return format("%gM", value / 1e6);
  return std::abs(value) >= 1e4 ? format("%gk", value / 1e3) : format("%g", value);
}

struct Range {
  double x = 0.0;
  double y = 0.0;
};

Range range_of(const LinePlot& plot) {
  Range most;
  for (const Line& line : plot.lines) {
    for (const auto& [x, y] : line.points) {
      if (std::isfinite(x)) most.x = std::max(most.x, x);
      if (std::isfinite(y)) most.y = std::max(most.y, y);
    }
  }
  if (plot.top > 0.0) most.y = plot.top;
  return {most.x > 0.0 ? most.x : 1.0, most.y > 0.0 ? most.y : 1.0};
}

std::string axes(const LinePlot& plot, const Range& most) {
  const double bottom = kTop + kPlotHeight;
  std::string svg;
  for (double x = 0.0; x <= most.x * 1.0001; x += tick_step(most.x)) {
    const double at = kLeft + kPlotWidth * x / most.x;
    svg += line_at(at, kTop, at, bottom, kGrid) + text_at(at, bottom + 16, "middle", number(x));
  }
  for (double y = 0.0; y <= most.y * 1.0001; y += tick_step(most.y)) {
    const double at = bottom - kPlotHeight * y / most.y;
    svg += line_at(kLeft, at, kLeft + kPlotWidth, at, kGrid) +
           text_at(kLeft - 6, at + 4, "end", number(y));
  }
  svg += text_at(kLeft + kPlotWidth / 2, bottom + 34, "middle", plot.x);
  svg += format("<text transform='translate(16 %.1f) rotate(-90)' text-anchor='middle'>",
                kTop + kPlotHeight / 2) +
         escaped(plot.y) + "</text>\n";
  return svg;
}

std::string curve(const Line& line, const Range& most) {
  std::string points;
  for (const auto& [x, y] : line.points) {
    if (!std::isfinite(x) || !std::isfinite(y)) continue;
    points += format("%.1f,%.1f ", kLeft + kPlotWidth * x / most.x,
                     kTop + kPlotHeight * (1.0 - std::clamp(y / most.y, 0.0, 1.0)));
  }
  return "<polyline fill='none' stroke-width='1.6' stroke='" + line.colour + "' points='" + points +
         "'/>\n";
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '\'':
        result += "&#39;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

double tick_step(double most) {
  if (!(most > 0.0) || !std::isfinite(most)) return 1.0;
  const double power = std::pow(10.0, std::floor(std::log10(most)));
  const double lead = most / power;
  if (lead < 1.5) return 0.2 * power;
  if (lead < 3.0) return 0.5 * power;
  return lead < 7.0 ? power : 2.0 * power;
}

std::string draw(const LinePlot& plot) {
  const Range most = range_of(plot);
  std::string svg =
      opening(kLeft + kPlotWidth + kLegendWidth, kTop + kPlotHeight + 46, plot.title) +
      axes(plot, most);
  double y = kTop + 8;
  for (const Line& line : plot.lines) {
    svg += curve(line, most);
    const double x = kLeft + kPlotWidth + 14;
    svg += box_at(x, y - 5, 16, 4, line.colour.c_str()) + text_at(x + 22, y, "start", line.name);
    y += 18;
  }
  return svg + "</svg>\n";
}

std::string draw(const BarPlot& plot) {
  double most = 0.0;
  for (const Bar& bar : plot.bars) {
    double sum = 0.0;
    for (const double part : bar.parts) sum += part;
    most = std::max({most, sum, bar.mark});
  }
  if (most <= 0.0) most = 1.0;
  const double bottom = kTop + 22 + kBarStep * static_cast<double>(plot.bars.size());
  std::string svg = opening(kBarLeft + kPlotWidth + kLegendWidth, bottom + 44, plot.title);
  double legend = kBarLeft;
  for (std::size_t i = 0; i < plot.parts.size(); ++i) {
    svg += box_at(legend, kTop - 6, 10, 10, kParts[i % kParts.size()]) +
           text_at(legend + 14, kTop + 4, "start", plot.parts[i]);
    legend += 30 + 6.5 * static_cast<double>(plot.parts[i].size());
  }
  if (!plot.mark.empty()) {
    svg += box_at(legend + 4, kTop - 8, 2, 14, "black") +
           text_at(legend + 14, kTop + 4, "start", plot.mark);
  }
  for (double x = 0.0; x <= most * 1.0001; x += tick_step(most)) {
    const double at = kBarLeft + kPlotWidth * x / most;
    svg +=
        line_at(at, kTop + 16, at, bottom, kGrid) + text_at(at, bottom + 16, "middle", number(x));
  }
  double y = kTop + 22;
  for (const Bar& bar : plot.bars) {
    svg += text_at(kBarLeft - 8, y + 13, "end", bar.name);
    double x = kBarLeft;
    for (std::size_t i = 0; i < bar.parts.size(); ++i) {
      const double width = kPlotWidth * std::max(bar.parts[i], 0.0) / most;
      svg += box_at(x, y, width, kBarStep - 7, kParts[i % kParts.size()]);
      x += width;
    }
    const double mark = kBarLeft + kPlotWidth * bar.mark / most;
    if (bar.mark > 0.0) svg += box_at(mark - 1, y - 3, 2, kBarStep - 1, "black");
    svg += text_at((bar.mark > 0.0 ? std::max(x, mark) : x) + 6, y + 13, "start", bar.note);
    y += kBarStep;
  }
  return svg + text_at(kBarLeft + kPlotWidth / 2, bottom + 34, "middle", plot.x) + "</svg>\n";
}

}  // namespace psbench
