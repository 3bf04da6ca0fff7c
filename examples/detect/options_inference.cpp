#include "options_declare.h"

namespace detect {
namespace {

void declare_inference(CLI::App& app, InferenceOptions& options) {
  app.add_option("--weights", options.weights, "Files that train wrote; several vote together")
      ->required();
  app.add_option("--img,--imgsz,--img-size", options.image_size,
                 "Side of the input (default: as trained)")
      ->check(CLI::Range(32, 8192));
  app.add_option("--conf,--conf-thres", options.confidence, "Least confidence")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--iou,--iou-thres", options.iou, "Boxes that overlap more are one object")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--max-det", options.max_detections, "Most boxes of an image")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_flag("--augment", options.augment, "At three scales, and mirrored");
  app.add_option("--device", options.compute.device, "cpu, cuda:N (or N), cuda:N,M,..., or auto")
      ->capture_default_str();
  app.add_option("--project", options.project, "Folder of runs")->capture_default_str();
  app.add_option("--name", options.name, "The run's folder in it")->capture_default_str();
  app.add_flag("--exist-ok", options.exist_ok, "Write into a folder that is there already");
}

}  // namespace

void declare_val(CLI::App& app, ValOptions& options) {
  options.inference.confidence = 0.001F;
  options.inference.iou = 0.6F;
  options.inference.max_detections = 300;
  options.inference.project = "runs/val";
  declare_inference(app, options.inference);
  app.add_option("--data", options.data, "As for train (default: the key data.path)");
  app.add_option("--task", options.task, "Which images: train, val or test; speed: times only")
      ->check(CLI::IsMember({"train", "val", "test", "speed"}))
      ->capture_default_str();
  app.add_option("-b,--batch,--batch-size", options.batch_size, "Images at once, a worker")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_flag("--single-cls", options.single_class, "All objects are of one class");
  app.add_flag("--verbose", options.verbose, "A row for each class");
  app.add_flag("--save-txt", options.save_txt, "Boxes as labels/*.txt");
  app.add_flag("--save-conf", options.save_conf, "With their confidence");
  app.add_flag("--save-json", options.save_json, "Boxes as COCO's predictions.json");
  app.add_flag("--noplots{false}", options.plots, "Draw nothing");
  app.add_flag("--yolov5-map", options.yolov5_map, "mAP as YOLOv5 reckons it, not as COCO");
}

void declare_predict(CLI::App& app, PredictOptions& options) {
  options.inference.project = "runs/detect";
  declare_inference(app, options.inference);
  app.add_option("source,--source", options.sources, "Images, folders, globs or videos")
      ->required();
  app.add_option("--classes", options.inference.classes, "Only these classes (numbers)")
      ->delimiter(',');
  app.add_flag("--agnostic-nms", options.inference.agnostic,
               "Overlapping boxes of two classes are one object");
  app.add_flag("--save-txt", options.save_txt, "Boxes as labels/*.txt");
  app.add_flag("--save-conf", options.save_conf, "With their confidence");
  app.add_flag("--save-crop", options.save_crop, "Each object's picture as crops/CLASS/*.jpg");
  app.add_flag("--save-csv", options.save_csv, "Boxes as predictions.csv");
  app.add_flag("--save-json", options.save_json, "Boxes as predictions.json");
  app.add_flag("--nosave{false}", options.save_images, "Write no pictures");
  app.add_flag("--hide-labels", options.hide_labels, "Boxes without captions");
  app.add_flag("--hide-conf", options.hide_conf, "Captions without confidence");
}

}  // namespace detect
