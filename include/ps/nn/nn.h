// Everything of ps::nn, the networks over ps's kernels (target ps::nn).
#pragma once

#include <ps/nn/box_finder.h>
#include <ps/nn/detection.h>
#include <ps/nn/detection_head.h>
#include <ps/nn/detector.h>
#include <ps/nn/graph.h>
#include <ps/nn/layer_options.h>
#include <ps/nn/parameter.h>
#include <ps/nn/pass.h>
