// Numbers are read without regard to the locale; the first row that is wrong ends the reading,
// since its picture is left out.
#include "vision/label_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <tuple>

#include "vision/paths.h"

namespace ps::vision {
namespace {

// The row's numbers, or false.
bool read_numbers(std::string_view row, std::vector<double>& numbers) {
  numbers.clear();
  for (row = trimmed(row); !row.empty(); row = trimmed(row)) {
    double value = 0;
    if (row.front() == '+') row.remove_prefix(1);
    const auto [end, code] = std::from_chars(row.data(), row.data() + row.size(), value);
    if (code != std::errc() || !std::isfinite(value)) return false;
    row.remove_prefix(static_cast<std::size_t>(end - row.data()));
    if (!row.empty() && trimmed(row.substr(0, 1)).size() == 1) return false;  // "1.5x"
    numbers.push_back(value);
  }
  return true;
}

std::string text_of(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

Label from_outline(const std::vector<double>& numbers) {
  Label label;
  double low[2] = {1, 1};
  double high[2] = {0, 0};
  for (std::size_t i = 1; i < numbers.size(); ++i) {
    double& least = low[(i - 1) % 2];
    double& most = high[(i - 1) % 2];
    least = std::min(least, numbers[i]);
    most = std::max(most, numbers[i]);
    label.polygon.push_back(static_cast<float>(numbers[i]));
  }
  label.x = static_cast<float>((low[0] + high[0]) / 2);
  label.y = static_cast<float>((low[1] + high[1]) / 2);
  label.width = static_cast<float>(high[0] - low[0]);
  label.height = static_cast<float>(high[1] - low[1]);
  return label;
}

// What is wrong with the row; empty: nothing, and `label` is set.
std::string read_row(const std::vector<double>& numbers, std::size_t classes, Label& label) {
  const std::size_t columns = numbers.size();
  if (columns != 5 && (columns < 7 || columns % 2 == 0)) {
    return "expected 5 columns, or a class and 3 or more points, got " + std::to_string(columns) +
           " columns";
  }
  const double category = numbers[0];
  if (category < 0 || category >= static_cast<double>(classes) ||
      category != std::floor(category)) {
    return "class " + text_of(category) + "; expected 0 to " + std::to_string(classes - 1);
  }
  for (std::size_t i = 1; i < columns; ++i) {
    if (numbers[i] >= 0 && numbers[i] <= 1) continue;
    return "coordinate " + text_of(numbers[i]) + " lies outside of 0 to 1";
  }
  if (columns == 5) {
    label = {0,
             static_cast<float>(numbers[1]),
             static_cast<float>(numbers[2]),
             static_cast<float>(numbers[3]),
             static_cast<float>(numbers[4]),
             {}};
  } else {
    label = from_outline(numbers);
  }
  label.category = static_cast<std::int32_t>(category);
  if (label.width > 0 && label.height > 0) return {};
  return "the box is empty: " + text_of(label.width) + " wide, " + text_of(label.height) + " high";
}

}  // namespace

std::size_t remove_repeated(std::vector<Label>& labels) {
  std::vector<std::size_t> order(labels.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto key = [&](std::size_t i) {
    const Label& l = labels[i];
    return std::tie(l.category, l.x, l.y, l.width, l.height, l.polygon);
  };
  // Sorted, so that a file of very many rows stays affordable.
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
  std::vector<bool> repeats(labels.size());
  for (std::size_t i = 1; i < order.size(); ++i) {
    repeats[order[i]] = labels[order[i - 1]] == labels[order[i]];
  }
  std::vector<Label> kept;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (!repeats[i]) kept.push_back(std::move(labels[i]));
  }
  const std::size_t removed = labels.size() - kept.size();
  labels = std::move(kept);
  return removed;
}

LabelRows parse_label_rows(std::string_view text, std::size_t classes) {
  LabelRows rows;
  std::vector<double> numbers;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::string_view row = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), row.size() + 1));
    if (trimmed(row).empty()) continue;
    Label label;
    const std::string wrong = read_numbers(row, numbers) ? read_row(numbers, classes, label)
                                                         : "expected numbers, separated by blanks";
    if (!wrong.empty()) {
      rows.labels.clear();
      rows.wrong = std::to_string(line) + ": " + wrong;
      return rows;
    }
    rows.labels.push_back(std::move(label));
  }
  rows.repeated = remove_repeated(rows.labels);
  return rows;
}

}  // namespace ps::vision
