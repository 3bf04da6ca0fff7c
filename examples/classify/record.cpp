#include "record.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <spawn.h>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <system_error>

#include <ps/error.h>

namespace classify {
namespace {

constexpr std::string_view kHeader =
    "epoch,step,seconds,samples,train_loss,train_accuracy,test_loss,test_accuracy,"
    "samples_per_second,mean_staleness,lr,effective_batch,update_to_weight,noise_scale\n";

// The folder is the working directory; the title is the first argument. Plain columns only: where
// an expression meets an empty field, the line through the test's points breaks.
constexpr std::string_view kPlot = R"(# Draws results.png of results.csv: gnuplot -c plot.gp [TITLE]
set datafile separator ','
set terminal pngcairo size 1200,520 enhanced font 'sans,12' linewidth 1.5
set output 'results.png'
set border 3 linecolor '#808080'
set tics nomirror textcolor '#404040'
set grid linecolor '#c0c0c0' linewidth 0.5
set format x '%.0s%c'
set xlabel 'training images read, by all workers together'
set xrange [0:*] noextend
set style line 1 linecolor '#7fa8d1' linewidth 1.2
set style line 2 linecolor '#c0392b' linewidth 2 pointtype 7 pointsize 1.2
set multiplot layout 1,2 title (ARGC > 0 ? ARG1 : 'classify') noenhanced font 'sans,14'

# Both cut off the untrained start, so that the rest can be told apart.
set title 'loss'
set yrange [0:* < 1]
set key top right
plot 'results.csv' using 'samples':'train_loss' with lines linestyle 1 title 'training', \
     '' using 'samples':'test_loss' with linespoints linestyle 2 title 'test'

set title 'accuracy'
set format y '%.2f'
set yrange [0.7 < *:1]
set key bottom right
plot 'results.csv' using 'samples':'train_accuracy' with lines linestyle 1 title 'training', \
     '' using 'samples':'test_accuracy' with linespoints linestyle 2 title 'test'
unset multiplot
)";

[[noreturn]] void fail(const std::string& what, const std::error_code& error) {
  throw ps::Error(ps::ErrorCode::kIo, what + ": " + error.message());
}

std::error_code last_error() {
  return {errno, std::generic_category()};
}

std::string csv(const Row& row) {
  std::array<char, 512> text{};
  std::string test = ",";
  if (row.test) {
    std::snprintf(text.data(), text.size(), "%.6f,%.6f", row.test->loss, row.test->accuracy);
    test = text.data();
  }
  std::string measured = ",,";
  if (row.measures) {
    std::snprintf(text.data(), text.size(), "%.6g,%.6g,%.6g", row.measures->batch,
                  row.measures->update_to_weight, row.measures->noise_scale);
    measured = text.data();
  }
  std::snprintf(text.data(), text.size(), "%u,%llu,%.3f,%llu,%.6f,%.6f,%s,%.1f,%.4f,%.6g,%s\n",
                row.epoch, static_cast<unsigned long long>(row.step), row.seconds,
                static_cast<unsigned long long>(row.samples), row.train.loss, row.train.accuracy,
                test.c_str(), row.samples_per_second, row.mean_staleness, row.lr, measured.c_str());
  return text.data();
}

// Runs a program of the path in `folder`; whether it ended well.
bool run(const std::string& folder, std::array<std::string, 4> arguments) {
  std::array<char*, 5> argv{};
  for (std::size_t i = 0; i < arguments.size(); ++i) argv[i] = arguments[i].data();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return false;
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return false;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

Record::Record(const std::string& folder) : folder_(folder), path_(folder + "/results.csv") {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail("cannot make the folder " + folder, error);
  std::filesystem::remove(folder + "/results.png", error);  // an earlier run's
  std::ofstream(folder + "/plot.gp") << kPlot;
  file_.open(path_);
  file_ << kHeader << std::flush;
  if (!file_) fail("cannot write " + path_, last_error());
}

void Record::add(const Row& row) {
  file_ << csv(row) << std::flush;
  if (!file_) fail("cannot write " + path_, last_error());
}

bool Record::plot(const std::string& title) const {
  return run(folder_, {"gnuplot", "-c", "plot.gp", title});
}

}  // namespace classify
