#include "record.h"

#include <cstdlib>
#include <filesystem>

#include <ps/error.h>

namespace classify {
namespace {

constexpr const char* kScript = R"(set datafile separator ","
set terminal pngcairo size 1100,440 font ",11"
set output "results.png"
set multiplot layout 1,2 margins 0.07,0.98,0.14,0.9 spacing 0.09
set grid lc rgb "#dddddd"
set xlabel "seconds"
set key right top
set title "loss"
plot "results.csv" using 3:4 every ::1 with linespoints lw 2 pt 7 title "training", \
     "" using 3:6 every ::1 with linespoints lw 2 pt 7 title "test"
set key right bottom
set title "accuracy"
plot "results.csv" using 3:5 every ::1 with linespoints lw 2 pt 7 title "training", \
     "" using 3:7 every ::1 with linespoints lw 2 pt 7 title "test"
)";

}  // namespace

Record::Record(const std::string& folder) : folder_(folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const std::string path = folder + "/results.csv";
  csv_.open(path);
  if (error || !csv_) {
    throw ps::Error(
        ps::ErrorCode::kIo,
        "cannot write " + path + (error ? ": " + error.message() : "") + "; choose another --out");
  }
  csv_ << "epoch,samples,seconds,train_loss,train_accuracy,test_loss,test_accuracy,samples_per_"
          "second,mean_staleness,"
          "max_staleness,lr\n";
}

void Record::add(const EpochRecord& epoch) {
  csv_ << epoch.epoch << ',' << epoch.samples << ',' << epoch.seconds << ',' << epoch.train_loss
       << ',' << epoch.train_accuracy << ',' << epoch.test_loss << ',' << epoch.test_accuracy << ','
       << epoch.samples_per_second << ',' << epoch.mean_staleness << ',' << epoch.max_staleness
       << ',' << epoch.lr << std::endl;
  if (!csv_)
    throw ps::Error(ps::ErrorCode::kIo,
                    "cannot write " + folder_ + "/results.csv: is the disk full?");
}

bool Record::plot() {
  std::ofstream script(folder_ + "/results.gnuplot");
  script << kScript;
  script.close();
  // The folder reaches the shell in an environment variable, so its name may be anything.
  ::setenv("CLASSIFY_OUT", folder_.c_str(), 1);
  return script && std::system(
                       "cd \"$CLASSIFY_OUT\" && command -v gnuplot >/dev/null && gnuplot "
                       "results.gnuplot 2>/dev/null") == 0;
}

}  // namespace classify
