#include "console.h"

#include <algorithm>
#include <cstdio>

namespace detect {
namespace {

std::string clock_time(double seconds) {
  const auto whole = static_cast<long>(std::max(seconds, 0.0));
  std::array<char, 32> text{};
  if (whole >= 3600) {
    std::snprintf(text.data(), text.size(), "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60,
                  whole % 60);
  } else {
    std::snprintf(text.data(), text.size(), "%ld:%02ld", whole / 60, whole % 60);
  }
  return text.data();
}

}  // namespace

void print_epoch_header(bool anchor_free) {
  std::printf("%11s%11s%11s%11s%11s%11s%11s\n", "Epoch", "box_loss",
              anchor_free ? "dfl_loss" : "obj_loss", "cls_loss", "Instances", "Size", "images/s");
  std::fflush(stdout);
}

std::string epoch_line(const EpochMoment& moment) {
  const std::array<double, 3> losses = moment.tally.mean_losses();
  const double done = moment.epoch - moment.first_epoch + moment.part;
  const double all = moment.epochs - moment.first_epoch;
  const double left = done > 0.0 ? moment.seconds * (all - done) / done : 0.0;
  const double rate = moment.tally.images * moment.workers / std::max(moment.tally.seconds, 1e-9);
  std::array<char, 256> text{};
  std::snprintf(
      text.data(), text.size(),
      "epoch %u/%u  %3.0f%%  box %.4g  obj %.4g  cls %.4g  %.0f instances  %d px  %.0f images/s  "
      "%.0f%% waiting for data  %s left",
      moment.epoch + 1, moment.epochs, 100.0 * moment.part, losses[0], losses[1], losses[2],
      moment.tally.instances, moment.size.width, rate,
      100.0 * moment.tally.seconds_waited / std::max(moment.tally.seconds, 1e-9),
      clock_time(left).c_str());
  return text.data();
}

void print_epoch(std::uint32_t epoch, std::uint32_t epochs, const Tally& all, int image_size) {
  const std::array<double, 3> losses = all.mean_losses();
  const std::string number = std::to_string(epoch + 1) + "/" + std::to_string(epochs);
  std::printf("%11s%11.4g%11.4g%11.4g%11.0f%11d%11.0f\n", number.c_str(), losses[0], losses[1],
              losses[2], all.instances, image_size, all.images / std::max(all.seconds, 1e-9));
  std::fflush(stdout);
}

void print_speed(const Validation& scores) {
  std::printf("Speed: %.2f ms waiting for data, %.2f ms network, %.2f ms NMS an image\n",
              scores.milliseconds[0], scores.milliseconds[1], scores.milliseconds[2]);
}

std::vector<std::string> more_columns() {
  return {"images_per_second", "waiting_for_data", "mean_staleness"};
}

ps::vision::EpochResult results_row(std::uint32_t epoch,
                                    const Tally& all,
                                    const Validation& scores,
                                    const std::array<double, 3>& lr) {
  const std::array<double, 3> train = all.mean_losses();
  const double seconds = std::max(all.seconds, 1e-9);
  return {.epoch = epoch,
          .train = {train[0], train[1], train[2]},
          .precision = scores.report.precision,
          .recall = scores.report.recall,
          .map50 = scores.report.map50,
          .map50_95 = scores.report.map50_95,
          .val = {scores.losses[0], scores.losses[1], scores.losses[2]},
          .lr = lr,
          .more = {all.images / seconds, all.seconds_waited / seconds,
                   all.staleness / std::max(all.steps, 1.0)}};
}

}  // namespace detect
