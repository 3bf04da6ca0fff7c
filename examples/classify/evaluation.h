// How good a network is on a data set, found out by all workers together.
#pragma once

#include <ps/nn/graph.h>
#include <ps/session.h>

#include "dataset.h"

namespace classify {

// The most samples that evaluate() gives to the network at once.
constexpr std::int64_t kEvaluationBatch = 250;

struct Score {
  double loss = 0.0;      // mean over the samples
  double accuracy = 0.0;  // part of the samples whose class has the highest score
};

// Every worker calls it, with the same weights in its graph; each scores its slice of the data, and
// all get the score of the whole. REQUIRES: graph.prepare() for kEvaluationBatch or more.
Score evaluate(ps::Session& session, ps::nn::Graph& graph, const Dataset& dataset);

}  // namespace classify
