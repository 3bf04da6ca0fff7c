#include "job.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <filesystem>

#include <ps/error.h>
#include <ps/nn/detector.h>

#include "cluster/placement.h"
#include "wire/header.h"
#include "worker/step.h"

namespace pssim {
namespace {

constexpr double kBitsPerByte = 8.0;
// 4 a gradient; weights and momentum, read and written.
constexpr double kUpdateBytesPerGradient = 4.0;
constexpr double kUpdateBytes = 16.0;
constexpr std::uint64_t kLargestStaleness = 1'000'000;
constexpr std::uint64_t kLargestModel = std::uint64_t{1} << 40U;
constexpr std::int64_t kClasses = 80;

[[noreturn]] void refuse(const std::string& text) {
  throw ps::Error(ps::ErrorCode::kInvalidArgument, text);
}

std::vector<ps::wire::ParameterInfo> detector_parameters(const std::string& name) {
  const ps::nn::DetectorTable table = ps::nn::detector_table(name);
  const std::int64_t side = ps::nn::detector_stride(table);  // its parameters know no size
  const ps::nn::Detector detector(table, kClasses, side, side);
  std::vector<ps::wire::ParameterInfo> result;
  for (const ps::nn::Parameter& parameter : detector.graph().parameters())
    result.push_back({.name = parameter.name, .shape = parameter.shape, .kind = parameter.kind});
  return result;
}

}  // namespace

ps::Consistency parse_mode(const std::string& text) {
  if (text == "bsp") return ps::Sync{};
  if (text == "asp") return ps::Async{};
  if (text.starts_with("ssp:")) {
    std::uint64_t staleness = 0;
    const char* end = text.data() + text.size();
    const auto [stop, code] = std::from_chars(text.data() + 4, end, staleness);
    if (code == std::errc() && stop == end && staleness <= kLargestStaleness)
      return ps::Ssp{.staleness = staleness};
  }
  refuse("--mode is '" + text +
         "'; expected bsp (every step waits for all), asp (nobody waits) or ssp:S (at most S steps "
         "ahead of the slowest), such as ssp:2");
}

double parse_link(const std::string& option, const std::string& text) {
  double value = 0.0;
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value);
  const std::string unit(stop, end);
  const std::string units = "KMGT";
  double scale = 1e3;
  for (const char each : units) {
    if (code == std::errc() && value > 0.0 && unit == std::string(1, each))
      return value * scale / kBitsPerByte;
    scale *= 1e3;
  }
  refuse(option + " is '" + text +
         "'; expected bits a second with K, M, G or T, such as 25G or 100M");
}

std::vector<ps::wire::ParameterInfo> parse_model(const std::string& text) {
  const auto names = ps::nn::detector_table_names();
  const bool named = std::ranges::find(names, text) != names.end();
  if (named || std::filesystem::is_regular_file(text)) return detector_parameters(text);
  std::string bytes = text;
  try {
    bytes = CLI::AsSizeValue(false)(bytes).empty() ? bytes : "";
  } catch (const CLI::Error&) {
    bytes.clear();
  }
  std::uint64_t size = 0;
  const char* end = bytes.data() + bytes.size();
  const auto [stop, code] = std::from_chars(bytes.data(), end, size);
  if (bytes.empty() || code != std::errc() || stop != end || size < sizeof(float) ||
      size > kLargestModel) {
    std::string known;
    for (const std::string& name : names) known += name + ", ";
    refuse("--model is '" + text + "'; expected " + known +
           "a detector's file, or bytes such as 64MiB");
  }
  return {{.name = "weights", .shape = {static_cast<std::int64_t>(size / sizeof(float))}}};
}

Layout layout_of(const Job& job) {
  ps::wire::ModelInfo model{.name = "model", .parameters = job.parameters};
  model.options.chunk_bytes = ps::cluster::chunk_bytes(job.parameters, job.chunk_bytes);
  const auto chunks = ps::cluster::chunks_of(model.parameters, model.options.chunk_bytes);
  model.placement = ps::cluster::place(chunks, job.shards);
  Layout layout;
  layout.plan = ps::worker::make_plan(model, job.shards);
  ps::worker::Step step;
  step.begin(layout.plan, {});
  layout.order = step.end(layout.plan);
  layout.shard_bytes.resize(job.shards);
  for (const ps::worker::Bucket& bucket : layout.plan.buckets) {
    const std::size_t frame =
        ps::wire::kHeaderBytes + ps::wire::kSegmentBytes * bucket.chunks.size();
    layout.payload.push_back(bucket.bytes);
    layout.bytes.push_back(bucket.bytes + frame);
    layout.shard_bytes[bucket.shard] += layout.bytes.back();
    layout.total += layout.bytes.back();
  }
  const auto fullest = static_cast<double>(*std::ranges::max_element(layout.shard_bytes));
  layout.imbalance = fullest * job.shards / static_cast<double>(layout.total);
  return layout;
}

double update_seconds(const Job& job, std::size_t payload, std::uint32_t gradients) {
  const auto elements = static_cast<double>(payload) / sizeof(float);
  return elements * (kUpdateBytesPerGradient * gradients + kUpdateBytes) /
         job.memory_bytes_per_second;
}

}  // namespace pssim
