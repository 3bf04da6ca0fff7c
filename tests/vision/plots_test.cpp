#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <ps/vision/plots.h>
#include <ps/vision/results.h>

#include "support/catch.h"
#include "vision/gnuplot.h"
#include "vision/score_reference.h"
#include "vision/smooth.h"

namespace {

using ps::vision::DetectionReport;
using ps::vision::DetectionScores;
using ps::vision::EpochResult;
using ps::vision::Image;
using ps::vision::Label;
using ps::vision::plot_confusion;
using ps::vision::plot_curves;
using ps::vision::plot_labels;
using ps::vision::plot_results;
using ps::vision::plot_text;
using ps::vision::Plotted;
using ps::vision::read_image;
using ps::vision::smoothed;

// A folder of this process alone; it goes with its contents.
class Folder {
 public:
  explicit Folder(const std::string& name)
      : path_((std::filesystem::temp_directory_path() /
               ("ps-plots-" + std::to_string(::getpid()) + "-" + name))
                  .string()) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directory(path_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool has(const std::string& file) const {
    return std::filesystem::exists(path_ + "/" + file);
  }
  [[nodiscard]] std::string text(const std::string& file) const {
    std::ostringstream all;
    all << std::ifstream(path_ + "/" + file, std::ios::binary).rdbuf();
    return all.str();
  }
  // Whether the file is a picture of that size on which something is drawn.
  [[nodiscard]] bool drawn(const std::string& file, int width, int height) const {
    const Image image = read_image(path_ + "/" + file);
    std::size_t dark = 0;
    for (const std::uint8_t value : image.pixels) dark += value < 128 ? 1 : 0;
    return image.width == width && image.height == height && dark > 1000;
  }

 private:
  std::string path_;
};

// Names that mean something to a shell, to gnuplot, or nothing at all.
std::vector<std::string> names() {
  return {"it's", "a `touch hurt` \"b\" \\", "tab\tand\nline \xFF", "a name that is far too long"};
}

DetectionReport report() {
  DetectionScores scores(4);
  for (const auto& picture : ps::vision::reference::random_pictures(3, 20, 4)) {
    scores.add(picture.number, picture.detections, picture.truth);
  }
  return scores.report();
}

void write_results(const std::string& folder, int epochs) {
  ps::vision::ResultsFile file(folder + "/results.csv");
  for (int epoch = 0; epoch < epochs; ++epoch) {
    EpochResult result;
    result.epoch = epoch;
    result.train = {1.0 / (epoch + 1), 0.5, 0.25};
    result.val = {1.0 / (epoch + 2), std::nan(""), 0};
    result.map50 = epoch / 10.0;
    file.add(result);
  }
}

}  // namespace

TEST_CASE("plots: results of many epochs, of one, and of columns without numbers", "[unit]") {
  const int epochs = GENERATE(1, 10);
  CAPTURE(epochs);
  const Folder folder("results");
  write_results(folder.path(), epochs);
  const Plotted plotted = plot_results(folder.path(), "it's a `touch hurt`");
  INFO(plotted.reason);
  CHECK(plotted);
  CHECK(folder.drawn("results.png", 2000, 820));
  CHECK(folder.has("plots/results.gp"));
  CHECK_FALSE(folder.has("plots/hurt"));
  CHECK_FALSE(folder.has("plots/gnuplot.txt"));
}

TEST_CASE("plots: curves of named classes", "[unit]") {
  const Folder folder("curves");
  const Plotted plotted = plot_curves(folder.path(), report(), names());
  INFO(plotted.reason);
  CHECK(plotted);
  for (const std::string name : {"PR_curve", "F1_curve", "P_curve", "R_curve"}) {
    CHECK(folder.drawn(name + ".png", 1350, 900));
  }
  CHECK_FALSE(folder.has("plots/hurt"));
  const std::string table = folder.text("plots/F1_curve.tsv");
  CHECK(table.substr(0, 40).find("confidence\tall classes 0.") == 0);
  CHECK(
      table.find("\tit\u2019s\ta  touch hurt   \u2026\ttab and line ?\ta name that is f\u2026\n") !=
      std::string::npos);
}

TEST_CASE("plots: the confusion matrix, and labels", "[unit]") {
  const Folder folder("confusion");
  const DetectionReport scores = report();
  const Plotted confusion = plot_confusion(folder.path(), scores, names());
  INFO(confusion.reason);
  CHECK(confusion);
  CHECK(folder.drawn("confusion_matrix.png", 1350, 1150));
  const std::vector<Label> labels = {{0, 0.5F, 0.5F, 0.2F, 0.3F, {}},
                                     {3, 1.0F, 0.0F, 1.0F, 1.0F, {}},
                                     {-7, std::nanf(""), 0.0F, 2.0F, -1.0F, {}}};
  const Plotted drawn = plot_labels(folder.path(), labels, names());
  INFO(drawn.reason);
  CHECK(drawn);
  CHECK(folder.drawn("labels.jpg", 1500, 1500));
  CHECK_FALSE(folder.has("plots/hurt"));
}

TEST_CASE("plots: what cannot be drawn has a reason", "[unit]") {
  const Folder folder("reasons");
  const auto reason = [](const Plotted& plotted, const std::string& part) {
    CAPTURE(plotted.reason);
    CHECK_FALSE(plotted);
    CHECK(plotted.reason.find(part) != std::string::npos);
  };
  reason(plot_results(folder.path(), ""), "results.csv");
  write_results(folder.path(), 0);
  reason(plot_results(folder.path(), ""), "no epoch");
  reason(plot_results(folder.path() + "/none", ""), "none");
  reason(plot_labels(folder.path(), {}, names()), "no label");
  reason(plot_curves(folder.path(), DetectionScores(2).report(), names()), "no true box");
  const DetectionReport scores = report();
  reason(plot_confusion(folder.path() + "/none", scores, names()), "cannot make the folder");

  const std::string path = std::getenv("PATH");
  ::setenv("PATH", folder.path().c_str(), 1);
  const Plotted plotted = plot_confusion(folder.path(), scores, names());
  // One that fails says why.
  std::ofstream(folder.path() + "/gnuplot") << "#!/bin/sh\necho 'no such terminal' >&2\nexit 1\n";
  std::filesystem::permissions(folder.path() + "/gnuplot", std::filesystem::perms::owner_all);
  const Plotted failed = plot_confusion(folder.path(), scores, names());
  ::setenv("PATH", path.c_str(), 1);
  reason(plotted, "gnuplot is not installed");
  reason(failed, "no such terminal");
  CHECK(folder.has("plots/confusion_matrix.gp"));  // to be drawn elsewhere
}

TEST_CASE("plots: a Gaussian smooths, mirrors the ends and passes over gaps", "[unit]") {
  const std::vector<double> flat = smoothed(std::vector<double>(5, 0.7), 3);
  for (const double value : flat) CHECK(value == Approx(0.7));
  std::vector<double> impulse(101);
  impulse[50] = 1;
  const std::vector<double> bell = smoothed(impulse, 3);
  CHECK(bell[50] == Approx(0.13299).epsilon(1e-3));  // 1 / (3 sqrt(2 pi)), the tails cut off
  CHECK(bell[53] / bell[50] == Approx(std::exp(-0.5)));
  CHECK(bell[62] > 0);
  CHECK(bell[63] == 0);
  std::vector<double> first(101);
  first[0] = 1;
  const std::vector<double> end = smoothed(first, 3);
  CHECK(end[0] == Approx(bell[50] + bell[51]));
  const std::vector<double> gap = smoothed(std::vector<double>{1, std::nan(""), 1}, 3);
  CHECK(gap[1] == Approx(1));
  CHECK(std::isnan(smoothed(std::vector<double>{std::nan("")}, 3)[0]));
  CHECK(smoothed({}, 3).empty());
}

TEST_CASE("plots: names are cut at characters, not at bytes", "[unit]") {
  CHECK(plot_text("Stra\u00DFe", 6) == "Stra\u00DFe");
  CHECK(plot_text("Stra\u00DFe", 5) == "Stra\u00DF\u2026");
  CHECK(plot_text("a\xC3", 5) == "a?");
  CHECK(plot_text("\xE2\x9C", 5) == "??");
  CHECK(plot_text("", 5).empty());
}
