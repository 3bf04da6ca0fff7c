// The pictures that a run leaves: how the training went, curves of precision and recall, the
// confusion matrix, what the labels are like. gnuplot draws them; each picture's numbers and its
// script stay in the folder's subfolder "plots", where `gnuplot NAME.gp` draws it again.
#pragma once

#include <span>
#include <string>

#include <ps/vision/image.h>
#include <ps/vision/metrics.h>

namespace ps::vision {

// Whether pictures were drawn, and if not, why: gnuplot is not installed or failed, a file cannot
// be read or written. A training goes on without them, so none of that is thrown.
struct Plotted {
  bool drawn = false;
  std::string reason;  // empty if drawn

  explicit operator bool() const { return drawn; }
};

// All functions: `folder` exists and is the run's; one thread at a time for each folder; they wait
// for gnuplot (a second or so, at most a minute). names: of the classes; a class without one is
// called by its number.

// folder/results.png of folder/results.csv (results.h): the losses, precision, recall and mAP of
// each epoch in 2 x 5 panels, as they are and smoothed (Gaussian of 3 epochs). title: above them.
Plotted plot_results(const std::string& folder, const std::string& title);

// folder/{PR,F1,P,R}_curve.png: a line for each class that has true boxes and one for their mean.
Plotted plot_curves(const std::string& folder,
                    const DetectionReport& report,
                    std::span<const std::string> names);

// folder/confusion_matrix.png: shares of each column (of what is true), with numbers where cells
// are large enough.
Plotted plot_confusion(const std::string& folder,
                       const DetectionReport& report,
                       std::span<const std::string> names);

// folder/labels.jpg: how many boxes each class has, their shapes, where their centers are and how
// large they are.
Plotted plot_labels(const std::string& folder,
                    std::span<const Label> labels,
                    std::span<const std::string> names);

}  // namespace ps::vision
