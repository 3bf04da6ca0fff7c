#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>

#include <ps/error.h>
#include <ps/vision/results.h>

#include "vision/number_text.h"

namespace ps::vision {
namespace {

constexpr std::size_t kMostColumns = 1000;

[[noreturn]] void io_error(const std::string& what, const std::string& path, int error) {
  throw Error(ErrorCode::kIo,
              "cannot " + what + " " + path + ": " + std::generic_category().message(error));
}

[[noreturn]] void corrupt(const std::string& path, std::size_t line, const std::string& what) {
  throw Error(ErrorCode::kCorrupt, path + ":" + std::to_string(line) + ": " + what +
                                       "; repair the file or move it away");
}

std::string cell(const std::string& text) {
  return text.size() < 20 ? std::string(20 - text.size(), ' ') + text : text;
}

std::string line_of(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& text : cells) line += (line.empty() ? "" : ",") + cell(text);
  return line + "\n";
}

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells;
  std::size_t begin = 0;
  while (cells.size() <= kMostColumns) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    std::size_t first = begin;
    std::size_t last = end;
    while (first < last && (line[first] == ' ' || line[first] == '\t')) ++first;
    while (first < last && (line[last - 1] == ' ' || line[last - 1] == '\r')) --last;
    cells.push_back(line.substr(first, last - first));
    if (end == line.size()) break;
    begin = end + 1;
  }
  return cells;
}

std::vector<std::string> header(std::span<const std::string> more) {
  std::vector<std::string> names(kResultColumns.begin(), kResultColumns.end());
  for (const std::string& name : more) {
    if (name.empty() || name.find_first_of(",\"\n\r") != std::string::npos) {
      throw Error(ErrorCode::kInvalidArgument,
                  "results: expected a column's name without comma, quote and line's end, got '" +
                      name + "'");
    }
    names.push_back(name);
  }
  return names;
}

// The rows of a run that goes on, as text.
std::string kept_rows(const std::string& path,
                      const std::vector<std::string>& columns,
                      std::int64_t first_epoch) {
  std::string text;
  if (first_epoch <= 0 || !std::filesystem::exists(path)) return text;
  const ResultsTable table = read_results(path);
  if (table.columns != columns) {
    throw Error(ErrorCode::kMismatch,
                path + " has other columns than this run writes: expected " +
                    std::to_string(columns.size()) + ", up to '" + columns.back() + "', got " +
                    std::to_string(table.columns.size()) + ", up to '" + table.columns.back() +
                    "'; move it away or resume with the options of the run that wrote it");
  }
  for (const std::vector<double>& row : table.rows) {
    if (!(row[0] < static_cast<double>(first_epoch))) continue;
    std::vector<std::string> cells;
    cells.reserve(row.size());
    for (const double value : row) cells.push_back(short_text(value));
    text += line_of(cells);
  }
  return text;
}

}  // namespace

ResultsFile::ResultsFile(std::string path,
                         std::span<const std::string> more,
                         std::int64_t first_epoch)
    : path_(std::move(path)), more_(more.size()) {
  const std::vector<std::string> columns = header(more);
  const std::string rows = kept_rows(path_, columns, first_epoch);
  // Beside it first: a crash meanwhile must not cost the rows.
  const std::string fresh = path_ + ".new";
  file_.open(fresh, std::ios::binary | std::ios::trunc);
  file_ << line_of(columns) << rows << std::flush;
  if (!file_) io_error("write", fresh, errno);
  if (std::rename(fresh.c_str(), path_.c_str()) != 0) io_error("write", path_, errno);
}

void ResultsFile::add(const EpochResult& result) {
  if (result.more.size() != more_) {
    throw Error(ErrorCode::kInvalidArgument, "results: expected " + std::to_string(more_) +
                                                 " additional values, got " +
                                                 std::to_string(result.more.size()));
  }
  std::vector<double> values = {static_cast<double>(result.epoch),
                                result.train.box,
                                result.train.objectness,
                                result.train.category,
                                result.precision,
                                result.recall,
                                result.map50,
                                result.map50_95,
                                result.val.box,
                                result.val.objectness,
                                result.val.category};
  values.insert(values.end(), result.lr.begin(), result.lr.end());
  values.insert(values.end(), result.more.begin(), result.more.end());
  std::vector<std::string> cells;
  cells.reserve(values.size());
  for (const double value : values) cells.push_back(short_text(value));
  file_ << line_of(cells) << std::flush;
  if (!file_) io_error("write", path_, errno);
}

std::optional<std::size_t> ResultsTable::find(std::string_view name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end()) return std::nullopt;
  return static_cast<std::size_t>(found - columns.begin());
}

ResultsTable read_results(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) io_error("read", path, errno);
  std::ostringstream contents;
  contents << file.rdbuf();
  const std::string text = contents.str();
  ResultsTable table;
  std::size_t number = 0;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    ++number;
    const std::vector<std::string> cells = split(text.substr(begin, end - begin));
    if (number == 1) {
      if (cells.front() != "epoch" || cells.size() > kMostColumns) {
        corrupt(path, number, "expected a header that begins with 'epoch'");
      }
      table.columns = cells;
      continue;
    }
    if (cells.size() != table.columns.size()) {
      corrupt(path, number,
              "expected " + std::to_string(table.columns.size()) + " values, got " +
                  std::to_string(cells.size()));
    }
    std::vector<double> row;
    row.reserve(cells.size());
    for (const std::string& value : cells) {
      const std::optional<double> parsed = parse_number(value);
      if (!parsed) corrupt(path, number, "expected a number, got '" + value.substr(0, 40) + "'");
      row.push_back(*parsed);
    }
    table.rows.push_back(std::move(row));
  }
  if (table.columns.empty()) corrupt(path, 1, "expected a header that begins with 'epoch'");
  return table;
}

}  // namespace ps::vision
