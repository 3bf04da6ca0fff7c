#include <string>

#include "compression_option.h"
#include "options_declare.h"

namespace detect {
namespace {

void declare_what(CLI::App& app, TrainOptions& options) {
  app.add_option(
      "--data", options.data,
      "data.yaml, obj.data, a COCO .json, a Pascal VOC folder, or fm-det[:count=8000,...] "
      "(default: the key data.path)");
  app.add_option(
      "--cfg,--model", options.cfg,
      "Network: a built-in one (`detect models`) or a table file (default: the weights', or "
      "pico)");
  app.add_option("--weights", options.weights, "Start from a file of earlier training");
  app.add_option("--hyp", options.hyp,
                 "scratch-low, scratch-med, scratch-high, v8, small, or a YAML file (default: what "
                 "suits the network)");
  app.add_option("--set", options.overrides,
                 "One number of --hyp's: --set lr0=0.02 --set mosaic=0");
}

void declare_how_much(CLI::App& app, TrainOptions& options) {
  app.add_option("--epochs", options.epochs, "Passes over the training images")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("-b,--batch,--batch-size", options.batch_size,
                 "Images of one pass, over all workers together")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  app.add_option("--img,--imgsz,--img-size", options.image_size, "Side of the input in pixels")
      ->check(CLI::Range(32, 8192))
      ->capture_default_str();
  app.add_option("--patience", options.patience,
                 "End after so many epochs without a better one; 0: never")
      ->capture_default_str();
  app.add_option("--time", options.max_hours, "End after so many hours")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--workers", options.loaders,
                 "Threads that read and augment images, a worker process")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  app.add_option("--cache", options.cache_kind, "Keep decoded images in memory (ram)")
      ->expected(0, 1)
      ->check(CLI::IsMember({"ram"}));
}

void declare_how(CLI::App& app, TrainOptions& options) {
  app.add_option("--optimizer", options.optimizer, "SGD, Adam or AdamW")
      ->check(CLI::IsMember({"SGD", "Adam", "AdamW"}, CLI::ignore_case))
      ->capture_default_str();
  app.add_flag("--cos-lr", options.cosine, "The rate falls as a cosine, not linearly");
  app.add_option("--label-smoothing", options.label_smoothing, "Of the classes")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  app.add_option("--freeze", options.freeze, "Leave the first so many layers as they are")
      ->capture_default_str();
  app.add_flag("--multi-scale", options.multi_scale,
               "Each batch at a size between half and 1.5 of --img");
  app.add_flag("--single-cls", options.single_class, "All objects are of one class");
  app.add_flag("--noautoanchor{false}", options.auto_anchor, "Keep the network's anchors");
  app.add_option("--device", options.compute.device,
                 "cpu, cuda:N (or N), cuda:N,M,... (each takes a share of the batch), or auto: the "
                 "machine's GPUs in turn, if there are any")
      ->capture_default_str();
  app.add_option("--split", options.compute.split,
                 "Split the network over the devices instead: DEVICE:LAST_ROW,... as in 0:10,1:24");
  app.add_option("--micro-batches", options.compute.micro_batches,
                 "With --split: slices of the batch that keep all devices busy (default: as many "
                 "as devices)")
      ->check(CLI::Range(0, 1024));
  app.add_option("--amp", options.compute.amp,
                 "Products of matrices on a GPU: off (fp32), tf32, bf16, or fp16 with a dynamic "
                 "scale of the loss")
      ->check(CLI::IsMember({"off", "tf32", "bf16", "fp16"}))
      ->capture_default_str();
  declare_compression(app, options.compress, options.compress_pull);
}

void declare_outputs(CLI::App& app, TrainOptions& options) {
  app.add_option("--project", options.project, "Folder of runs")->capture_default_str();
  app.add_option("--name", options.name, "The run's folder in it; a number is added if it is there")
      ->capture_default_str();
  app.add_flag("--exist-ok", options.exist_ok, "Write into a folder that is there already");
  app.add_option("--resume", options.resume_from,
                 "Go on with a run: its last checkpoint, or without a value the newest")
      ->expected(0, 1);
  app.add_flag("--nosave{false}", options.save, "Keep only the last checkpoint");
  app.add_flag("--noval", options.validate_last_only, "Validate after the last epoch only");
  app.add_flag("--noplots{false}", options.plots, "Draw nothing");
  app.add_option("--save-period", options.save_period, "Keep a checkpoint every so many epochs")
      ->capture_default_str();
  app.add_flag("--yolov5-map", options.yolov5_map, "mAP as YOLOv5 reckons it, not as COCO");
}

}  // namespace

void declare_train(CLI::App& app, TrainOptions& options) {
  declare_what(app, options);
  declare_how_much(app, options);
  declare_how(app, options);
  declare_outputs(app, options);
  app.parse_complete_callback([&app, &options] {
    options.resume = app.count("--resume") > 0;
    options.cache = app.count("--cache") > 0;
  });
}

}  // namespace detect
