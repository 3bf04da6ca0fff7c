#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <system_error>
#include <vector>

#include <ps/error.h>
#include <ps/vision/draw.h>
#include <ps/vision/plots.h>
#include <ps/vision/results.h>

#include "vision/gnuplot.h"
#include "vision/number_text.h"
#include "vision/plot_scripts.h"
#include "vision/smooth.h"

namespace ps::vision {
namespace {

constexpr std::size_t kPoints = ScoreCurves::kPoints;
constexpr std::size_t kMostNamed = 20;  // curves with a color and a name
constexpr std::size_t kMostShapes = 300;
constexpr std::size_t kBins = 50;
constexpr double kSigma = 3;

Plotted attempt(const std::function<void()>& draw) {
  try {
    draw();
    return {true, ""};
  } catch (const Error& error) {
    return {false, error.what()};
  }
}

std::string name_of(std::size_t category, std::span<const std::string> names) {
  const std::string text = category < names.size() ? plot_text(names[category]) : "";
  return text.empty() ? std::to_string(category) : text;
}

// A number as gnuplot reads it, with a tab before.
std::string next(double value) {
  return "\t" + (std::isfinite(value) ? short_text(value) : "NaN");
}

std::string rounded(double value, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

void draw_results(const std::string& folder, const std::string& title) {
  // By rows of the picture: training, validation, and what they are judged by on the right.
  constexpr std::array<std::size_t, 10> kPanels = {1, 2, 3, 4, 5, 8, 9, 10, 6, 7};
  const std::string path = folder + "/results.csv";
  const ResultsTable table = read_results(path);
  if (table.rows.empty()) throw Error(ErrorCode::kIo, path + " has no epoch yet");
  std::vector<std::vector<double>> columns;
  std::string empty;
  for (const std::size_t panel : kPanels) {
    const auto column = table.find(kResultColumns[panel]);
    if (!column) {
      throw Error(ErrorCode::kCorrupt, path + " has no column " + kResultColumns[panel]);
    }
    std::vector<double> values;
    values.reserve(table.rows.size());
    for (const std::vector<double>& row : table.rows) values.push_back(row[*column]);
    const bool numbers = std::any_of(values.begin(), values.end(),
                                     [](double value) { return std::isfinite(value); });
    empty += numbers ? "0 " : "1 ";
    std::vector<double> smooth = smoothed(values, kSigma);
    columns.push_back(std::move(values));
    columns.push_back(std::move(smooth));
  }
  std::string text = "epoch";
  for (const std::size_t panel : kPanels) {
    text += std::string("\t") + kResultColumns[panel] + "\tsmoothed";
  }
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    text += "\n" + short_text(table.rows[row][0]);
    for (const std::vector<double>& column : columns) text += next(column[row]);
  }
  const Gnuplot gnuplot(folder);
  gnuplot.write("results.tsv", text + "\n");
  const std::vector<PlotValue> values = {{"title", plot_text(title, 100)}, {"empty", empty}};
  gnuplot.draw("results", values, results_script());
}

struct CurvePlot {
  std::string name;
  std::string x_label;
  std::string y_label;
  std::span<const double> curves;  // [categories, kPoints]
  std::vector<std::string> notes;  // of each class, after its name; empty: none
  std::string mean_note;           // empty: the highest point of the mean
};

std::vector<double> mean_of(std::span<const double> curves, std::size_t rows) {
  std::vector<double> mean(kPoints);
  for (std::size_t i = 0; i < rows * kPoints; ++i) {
    mean[i % kPoints] += curves[i] / static_cast<double>(rows);
  }
  return mean;
}

void draw_curve(const Gnuplot& gnuplot,
                const CurvePlot& plot,
                const ScoreCurves& curves,
                std::span<const std::string> names) {
  const std::size_t rows = curves.categories.size();
  const std::vector<double> mean = mean_of(plot.curves, rows);
  const auto highest = std::max_element(mean.begin(), mean.end());
  std::string note = plot.mean_note;
  if (note.empty()) {
    const auto place = static_cast<double>(highest - mean.begin()) / (kPoints - 1);
    note = rounded(*highest, 2) + " at " + rounded(place, 3);
  }
  std::string text = plot.x_label + "\tall classes " + note;
  std::string colors;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::int32_t category = curves.categories[row];
    text += "\t" + name_of(static_cast<std::size_t>(category), names);
    if (!plot.notes.empty()) text += " " + plot.notes[row];
    if (rows <= kMostNamed) colors += color_text(category) + " ";
  }
  for (std::size_t i = 0; i < kPoints; ++i) {
    text += "\n" + short_text(static_cast<double>(i) / (kPoints - 1)) + next(mean[i]);
    for (std::size_t row = 0; row < rows; ++row) text += next(plot.curves[row * kPoints + i]);
  }
  gnuplot.write(plot.name + ".tsv", text + "\n");
  const std::vector<PlotValue> values = {{"name", plot.name},
                                         {"classes", static_cast<std::int64_t>(rows)},
                                         {"colors", colors},
                                         {"x_label", plot.x_label},
                                         {"y_label", plot.y_label}};
  gnuplot.draw(plot.name, values, curves_script());
}

void draw_curves(const std::string& folder,
                 const DetectionReport& report,
                 std::span<const std::string> names) {
  const ScoreCurves& curves = report.curves;
  if (curves.categories.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "there is no true box, so there are no curves");
  }
  std::vector<std::string> areas;
  areas.reserve(curves.categories.size());
  for (const std::int32_t category : curves.categories) {
    areas.push_back(rounded(report.classes[static_cast<std::size_t>(category)].ap50, 3));
  }
  const Gnuplot gnuplot(folder);
  const std::vector<CurvePlot> plots = {
      {"PR_curve", "recall", "precision", curves.precision_at_recall, areas,
       rounded(report.map50, 3) + " mAP@0.5"},
      {"F1_curve",
       "confidence",
       "F1",
       curves.f1,
       {},
       rounded(report.f1, 2) + " at " + rounded(report.confidence, 3)},
      {"P_curve", "confidence", "precision", curves.precision, {}, ""},
      {"R_curve", "confidence", "recall", curves.recall, {}, ""}};
  for (const CurvePlot& plot : plots) draw_curve(gnuplot, plot, curves, names);
}

void draw_confusion(const std::string& folder,
                    const DetectionReport& report,
                    std::span<const std::string> names) {
  const std::size_t size = report.classes.size() + 1;
  std::vector<std::int64_t> sums(size);
  for (std::size_t i = 0; i < size * size; ++i) sums[i % size] += report.confusion[i];
  const auto name = [&](std::size_t i) {
    return i + 1 == size ? std::string("background") : name_of(i, names);
  };
  std::string text = "predicted\ttrue\tcount\tshare\tpredicted name\ttrue name\n";
  for (std::size_t i = 0; i < size * size; ++i) {
    const std::int64_t count = report.confusion[i];
    const std::int64_t sum = std::max<std::int64_t>(sums[i % size], 1);
    text += std::to_string(i / size) + "\t" + std::to_string(i % size) + "\t" +
            std::to_string(count) + next(static_cast<double>(count) / static_cast<double>(sum)) +
            "\t" + name(i / size) + "\t" + name(i % size) + "\n";
  }
  const Gnuplot gnuplot(folder);
  gnuplot.write("confusion_matrix.tsv", text);
  const std::vector<PlotValue> values = {{"size", static_cast<std::int64_t>(size)}};
  gnuplot.draw("confusion_matrix", values, confusion_script());
}

// How many of the points, both from 0 to 1, lie in each of kBins x kBins squares.
template <class Point>
std::string heat_text(std::span<const Label> labels, const Point& point) {
  std::vector<std::int64_t> counts(kBins * kBins);
  const auto bin = [](float value) {
    return static_cast<std::size_t>(std::clamp(value * kBins, 0.0F, kBins - 1.0F));
  };
  for (const Label& label : labels) {
    const auto [x, y] = point(label);
    if (std::isfinite(x + y)) ++counts[bin(y) * kBins + bin(x)];
  }
  std::string text = "x\ty\tboxes\n";
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto middle = [](std::size_t place) {
      return short_text((static_cast<double>(place) + 0.5) / kBins);
    };
    text += middle(i % kBins) + "\t" + middle(i / kBins) + "\t" + std::to_string(counts[i]) + "\n";
  }
  return text;
}

std::int64_t color_number(std::int32_t category) {
  const Color color = class_color(category);
  return color.red * 65536 + color.green * 256 + color.blue;
}

std::string class_text(std::span<const Label> labels, std::span<const std::string> names) {
  std::vector<std::int64_t> counts(names.size());
  for (const Label& label : labels) {
    const auto category = static_cast<std::size_t>(label.category);
    if (label.category >= 0 && category < counts.size()) ++counts[category];
  }
  std::string text = "class\tboxes\tcolor\tname\n";
  for (std::size_t i = 0; i < counts.size(); ++i) {
    text += std::to_string(i) + "\t" + std::to_string(counts[i]) + "\t" +
            std::to_string(color_number(static_cast<std::int32_t>(i))) + "\t" + name_of(i, names) +
            "\n";
  }
  return text;
}

void draw_labels(const std::string& folder,
                 std::span<const Label> labels,
                 std::span<const std::string> names) {
  if (labels.empty() || names.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "there is no label to draw");
  }
  const std::size_t shown = std::min(labels.size(), kMostShapes);
  std::string shapes = "width\theight\tcolor\n";
  for (std::size_t i = 0; i < shown; ++i) {
    const Label& label = labels[i * labels.size() / shown];
    shapes += short_text(label.width) + next(label.height) + "\t" +
              std::to_string(color_number(label.category)) + "\n";
  }
  const Gnuplot gnuplot(folder);
  gnuplot.write("labels_classes.tsv", class_text(labels, names));
  gnuplot.write("labels_boxes.tsv", shapes);
  gnuplot.write("labels_centers.tsv",
                heat_text(labels, [](const Label& label) { return std::pair(label.x, label.y); }));
  gnuplot.write("labels_sizes.tsv", heat_text(labels, [](const Label& label) {
                  return std::pair(label.width, label.height);
                }));
  const std::vector<PlotValue> values = {{"classes", static_cast<std::int64_t>(names.size())},
                                         {"shown", static_cast<std::int64_t>(shown)}};
  gnuplot.draw("labels", values, labels_script());
  const std::string drawn = gnuplot.path("labels.png");
  write_image(folder + "/labels.jpg", read_image(drawn));
  std::error_code ignored;
  std::filesystem::remove(drawn, ignored);
}

}  // namespace

Plotted plot_results(const std::string& folder, const std::string& title) {
  return attempt([&] { draw_results(folder, title); });
}

Plotted plot_curves(const std::string& folder,
                    const DetectionReport& report,
                    std::span<const std::string> names) {
  return attempt([&] { draw_curves(folder, report, names); });
}

Plotted plot_confusion(const std::string& folder,
                       const DetectionReport& report,
                       std::span<const std::string> names) {
  return attempt([&] { draw_confusion(folder, report, names); });
}

Plotted plot_labels(const std::string& folder,
                    std::span<const Label> labels,
                    std::span<const std::string> names) {
  return attempt([&] { draw_labels(folder, labels, names); });
}

}  // namespace ps::vision
