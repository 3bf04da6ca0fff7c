// `detect val`: the scores of trained weights, on one worker or several.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ps/error.h>
#include <ps/vision/dataset.h>

#include "commands.h"
#include "console.h"
#include "device.h"
#include "found.h"
#include "inference.h"
#include "network.h"
#include "report.h"
#include "run_folder.h"
#include "validation.h"

namespace detect {
namespace {

ps::vision::Split split_of(const std::string& task) {
  if (task == "train") return ps::vision::Split::kTrain;
  return task == "test" ? ps::vision::Split::kTest : ps::vision::Split::kVal;
}

}  // namespace

int run_val(ps::Session& session, const Options& all) {
  const ValOptions& options = all.val;
  const bool leads = session.rank() == 0;
  const std::vector<Trained> trained =
      load_ensemble(options.inference, options.batch_size,
                    choose_compute(options.inference.compute, session.rank()));
  Network& network = *trained.front().network;
  const std::string path = options.data.empty() ? session.data_path() : options.data;
  if (path.empty()) {
    throw ps::Error(ps::ErrorCode::kInvalidArgument, "--data: expected a data set, as for train");
  }
  ps::vision::Scan scan;
  const auto data = ps::vision::open_dataset(path, split_of(options.task), {}, &scan);
  if (leads) std::printf("%s\n", ps::vision::scan_line(scan).c_str());
  check_classes(network.spec(), *data, options.single_class);
  const std::string folder = make_run_folder(options.inference.project, options.inference.name,
                                             options.inference.exist_ok || !leads);
  std::optional<Report> report;
  if (leads) report.emplace(folder, network.spec().names, options.plots);
  FoundWriter writer(
      folder,
      {.text = options.save_txt, .confidence = options.save_conf, .json = options.save_json});
  ps::nn::NmsOptions nms = nms_options(options.inference);
  nms.multi_label = true;
  Inference inference(networks_of(trained), nms, options.inference.augment);
  const int side = network.spec().image_size;
  const Validation scores = validate(
      session, inference, network, *data,
      {.batch = options.batch_size,
       .size = {side, side},
       .single_class = options.single_class,
       .kind = options.yolov5_map ? ps::vision::ApKind::kYoloV5 : ps::vision::ApKind::kCoco},
      [&](const Judged& judged) {
        if (report) report->draw_val_batch(judged);
        writer.add(judged, *data);
      });
  writer.finish();
  session.finish();
  if (!leads) return 0;
  if (options.task != "speed") print_scores(scores.report, network.spec().names, options.verbose);
  print_speed(scores);
  report->draw_scores(scores.report);
  std::printf("results are in %s\n", folder.c_str());
  if (all.json) {
    std::printf(
        "{\"map50\": %.4f, \"map50_95\": %.4f, \"precision\": %.4f, \"recall\": %.4f, "
        "\"images\": %lld, \"folder\": \"%s\"}\n",
        scores.report.map50, scores.report.map50_95, scores.report.precision, scores.report.recall,
        static_cast<long long>(scores.report.images), folder.c_str());
  }
  return 0;
}

}  // namespace detect
