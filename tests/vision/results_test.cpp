#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <ps/error.h>
#include <ps/vision/results.h>

#include "support/catch.h"
#include "vision/number_text.h"

namespace {

using ps::vision::EpochResult;
using ps::vision::read_results;
using ps::vision::ResultsFile;
using ps::vision::ResultsTable;

// A path of this process alone; the file goes with it.
class File {
 public:
  explicit File(const std::string& name)
      : path_((std::filesystem::temp_directory_path() /
               ("ps-results-" + std::to_string(::getpid()) + "-" + name))
                  .string()) {
    std::filesystem::remove(path_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { std::filesystem::remove(path_); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string text() const {
    std::ostringstream all;
    all << std::ifstream(path_, std::ios::binary).rdbuf();
    return all.str();
  }
  void write(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }

 private:
  std::string path_;
};

EpochResult result(std::int64_t epoch) {
  EpochResult row;
  row.epoch = epoch;
  row.train = {0.0812345, 0.5, 1e-7};
  row.precision = 1;
  row.recall = 0.123456;
  row.map50 = 0.25;
  row.map50_95 = 0.125;
  row.val = {123456.7, std::numeric_limits<double>::quiet_NaN(), 0};
  row.lr = {0.1, 0.01, 0.001};
  return row;
}

ps::ErrorCode code_of(const auto& action) {
  try {
    action();
  } catch (const ps::Error& error) {
    return error.code();
  }
  return ps::ErrorCode::kInternal;
}

}  // namespace

TEST_CASE("results: have the header and the digits that users' scripts expect", "[unit]") {
  const File file("format");
  ResultsFile results(file.path());
  results.add(result(3));
  CHECK(file.text() ==
        "               epoch,      train/box_loss,      train/obj_loss,      train/cls_loss,"
        "   metrics/precision,      metrics/recall,     metrics/mAP_0.5,metrics/mAP_0.5:0.95,"
        "        val/box_loss,        val/obj_loss,        val/cls_loss,"
        "               x/lr0,               x/lr1,               x/lr2\n"
        "                   3,            0.081235,                 0.5,               1e-07,"
        "                   1,             0.12346,                0.25,               0.125,"
        "          1.2346e+05,                 nan,                   0,"
        "                 0.1,                0.01,               0.001\n");
}

TEST_CASE("results: come back as they were written, additional columns too", "[unit]") {
  const File file("back");
  const std::vector<std::string> more = {"staleness", "images/s", "wait share"};
  ResultsFile results(file.path(), more);
  EpochResult row = result(0);
  row.more = {1.5, 400, 0.25};
  results.add(row);
  const ResultsTable table = read_results(file.path());
  REQUIRE(table.columns.size() == 17);
  REQUIRE(table.rows.size() == 1);
  CHECK(table.find("epoch") == 0U);
  CHECK(table.rows[0][*table.find("metrics/mAP_0.5:0.95")] == 0.125);
  CHECK(table.rows[0][*table.find("wait share")] == 0.25);
  CHECK(std::isnan(table.rows[0][*table.find("val/obj_loss")]));
  CHECK_FALSE(table.find("wait"));
  row.more.pop_back();
  CHECK(code_of([&] { results.add(row); }) == ps::ErrorCode::kInvalidArgument);
  const std::vector<std::string> bad = {"a,b"};
  CHECK(code_of([&] { ResultsFile(file.path(), bad); }) == ps::ErrorCode::kInvalidArgument);
}

TEST_CASE("results: a run that goes on keeps what was before it", "[unit]") {
  const File file("resume");
  {
    ResultsFile results(file.path());
    for (int epoch = 0; epoch < 5; ++epoch) results.add(result(epoch));
  }
  const std::string whole = file.text();
  file.write(whole + "                   5,           0.08");  // cut off by a crash
  {
    ResultsFile results(file.path(), {}, 3);
    results.add(result(3));
    results.add(result(4));
  }
  CHECK(file.text() == whole);
  const std::vector<std::string> more = {"staleness"};
  CHECK(code_of([&] { ResultsFile(file.path(), more, 3); }) == ps::ErrorCode::kMismatch);
  CHECK(file.text() == whole);
  ResultsFile(file.path(), {}, 0);  // a new run
  CHECK(read_results(file.path()).rows.empty());
  const File other("resume-nothing");
  ResultsFile(other.path(), {}, 3);
  CHECK(read_results(other.path()).columns.size() == 14);
}

TEST_CASE("results: a damaged file is named with its line", "[unit]") {
  const File file("damaged");
  CHECK(code_of([&] { (void)read_results(file.path()); }) == ps::ErrorCode::kIo);
  for (const std::string text :
       {"", "epoch,a", "time,a\n1,2\n", "epoch,a\n1\n", "epoch,a\n1,2,3\n", "epoch,a\n1,x\n",
        "epoch,a\n1,\n", "epoch,a\n\n", "epoch,a\n1,0x\n", "\0\0\0\n"}) {
    CAPTURE(text);
    file.write(text);
    CHECK(code_of([&] { (void)read_results(file.path()); }) == ps::ErrorCode::kCorrupt);
  }
  file.write("epoch,a\n1,2\n1,two\n");
  try {
    (void)read_results(file.path());
  } catch (const ps::Error& error) {
    CHECK(std::string(error.what()).find("damaged:3: expected a number, got 'two'") !=
          std::string::npos);
  }
  file.write("epoch , a\r\n  1 ,\t+2e1\r\n");
  CHECK(read_results(file.path()).rows == std::vector<std::vector<double>>{{1, 20}});
}
