// The numbers that a training is tuned by, under the names of the hyper-parameter files that YOLO's
// users have.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include <ps/vision/augment.h>

namespace detect {

struct Hyperparameters {
  float lr0 = 0.01F;             // learning rate after the warm-up
  float lrf = 0.01F;             // the last epoch's, as a part of lr0
  float momentum = 0.937F;       // Adam: beta1
  float weight_decay = 0.0005F;  // for a nominal batch
  float warmup_epochs = 3.0F;
  float warmup_momentum = 0.8F;
  float warmup_bias_lr = 0.1F;
  // The loss's gains. With scale_gains they are for 80 classes, 640 pixels and 3 scales.
  float box = 0.05F;
  float cls = 0.5F;
  float obj = 1.0F;
  float dfl = 1.5F;  // anchor-free heads only
  float cls_pw = 1.0F;
  float obj_pw = 1.0F;
  float fl_gamma = 0.0F;
  float anchor_t = 4.0F;
  bool scale_gains = true;
  float clip = 10.0F;  // greatest norm of a step's gradient; 0: any
  float nbs = 64.0F;   // nominal batch: gradients of so many images make one step; 0: --batch-size
  float ema_decay = 0.9999F;
  float ema_tau = 2000.0F;    // steps
  float close_mosaic = 0.0F;  // so many last epochs without mosaic
  ps::vision::Augmentation augmentation;
};

// One number of them: its name and the range that it may have.
struct HyperparameterField {
  std::string_view name;
  float low;
  float high;
  float* (*value)(Hyperparameters&);  // null for switches
  bool* (*flag)(Hyperparameters&);
};

const std::vector<HyperparameterField>& hyperparameter_fields();

// "scratch-low", "scratch-med", "scratch-high" (YOLOv5), "v8" (YOLOv8), "small" (networks like pico
// on small pictures), or a YAML file of `name: value` lines, whose other numbers are scratch-low's.
// Throws ps::Error: kIo, and kInvalidArgument naming the file, the key, its range and the nearest
// valid one.
Hyperparameters load_hyperparameters(const std::string& name_or_file);

// Changes one: "lr0=0.02". Throws likewise.
void override_hyperparameter(Hyperparameters& hyperparameters, const std::string& change);

// All of them as such a file.
void write_hyperparameters(std::ostream& out, const Hyperparameters& hyperparameters);

}  // namespace detect
