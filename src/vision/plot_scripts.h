// The gnuplot scripts of plots.h, without the values that they begin with.
#pragma once

#include <string>

namespace ps::vision {

std::string results_script();    // of title, empty (1 or 0 for each panel); results.tsv
std::string curves_script();     // of name, classes, colors, x_label, y_label; <name>.tsv
std::string confusion_script();  // of size; confusion_matrix.tsv
std::string labels_script();     // of classes, shown; labels_*.tsv

}  // namespace ps::vision
