#include "nn/detector_walk.h"

#include <algorithm>
#include <cmath>

#include <ps/error.h>

#include "nn/blocks.h"
#include "nn/row_arguments.h"
#include "nn/text_value.h"

namespace ps::nn {
namespace {

constexpr Limits kChannels{1, 65536};
constexpr Limits kKernel{1, 64};
constexpr Limits kPadding{0, 1024};
constexpr std::int64_t kMaxSide = 65536;

std::string list(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
  return "[" + text + "]";
}

// What of a row is printed: its arguments as they are built.
std::string printed(std::initializer_list<std::int64_t> numbers) {
  std::vector<std::string> items;
  for (const std::int64_t number : numbers) items.push_back(std::to_string(number));
  return list(items);
}

class Walk {
 public:
  Walk(const DetectorTable& table, std::int64_t classes, NetworkBuilder& builder)
      : table_(table), classes_(classes), builder_(builder) {}

  BuiltDetector run() {
    for (std::size_t i = 0; i < table_.rows.size(); ++i) {
      const DetectorRow& row = table_.rows[i];
      try {
        build(i, row);
      } catch (const Error& error) {
        fail_row(i, error.what());
      }
    }
    if (result_.levels.empty()) fail(table_.name, "expected Detect as the last row");
    for (std::size_t i = 0; i + 1 < table_.rows.size(); ++i) {
      if (!used_[i]) fail_row(i, "no later row uses it");
    }
    return std::move(result_);
  }

 private:
  [[noreturn]] void fail_row(std::size_t i, const std::string& text) const {
    const DetectorRow& row = table_.rows[i];
    const std::string line = row.line > 0 ? ", line " + std::to_string(row.line) : "";
    fail(table_.name, "row " + std::to_string(i) + " (" + row.module + line + "): " + text);
  }

  void build(std::size_t i, const DetectorRow& row) {
    require(result_.levels.empty(), "from", "expected Detect as the last row");
    inputs_.clear();
    for (const int from : row.from) inputs_.push_back(input(i, from));
    const std::int64_t before = builder_.parameter_count();
    repeats_ = scaled_number(row.number);
    layer_ = {.index = static_cast<int>(i),
              .from = row.from,
              .number = repeats_,
              .module = row.module,
              .arguments = {},
              .output = {},
              .last = {}};
    name_ = "model." + std::to_string(i);
    RowArguments arguments(row.arguments);
    const Value y = module(row, arguments);
    arguments.finish();
    layer_.parameters = builder_.parameter_count() - before;
    layer_.output = builder_.shape(y);
    layer_.last = y;
    // Repeated concatenation or enlargement would overflow.
    require(layer_.output.channels <= kChannels.most && layer_.output.height <= kMaxSide &&
                layer_.output.width <= kMaxSide,
            "output", "expected at most 65536 channels, rows and columns");
    values_.push_back(y);
    used_.push_back(false);
    result_.layers.push_back(std::move(layer_));
  }

  Value input(std::size_t i, int from) {
    if (i == 0 && from == -1) return builder_.input();
    const std::int64_t row = from < 0 ? static_cast<std::int64_t>(i) + from : from;
    require(row >= 0 && row < static_cast<std::int64_t>(i), "from",
            "expected an earlier row, got " + std::to_string(from));
    used_[static_cast<std::size_t>(row)] = true;
    return values_[static_cast<std::size_t>(row)];
  }

  [[nodiscard]] std::int64_t scaled_number(std::int64_t number) const {
    if (number <= 1) return number;
    // To the nearest, halves to even.
    const double scaled = std::nearbyint(static_cast<double>(number) * table_.depth_multiple);
    require(scaled <= 1000.0, "number", "expected at most 1000 after the depth multiple");
    return std::max<std::int64_t>(static_cast<std::int64_t>(scaled), 1);
  }

  // Of an output: multiplied, and rounded up to a multiple of 8.
  std::int64_t channels(RowArguments& arguments) {
    const std::int64_t written = arguments.integer("channels", kChannels, std::nullopt);
    const double scaled =
        static_cast<double>(std::min(written, table_.max_channels)) * table_.width_multiple;
    const double rounded = std::ceil(scaled / 8.0) * 8.0;
    require(rounded <= static_cast<double>(kChannels.most), "channels",
            "expected at most 65536 after the width multiple");
    return static_cast<std::int64_t>(rounded);
  }

  Value only_input() {
    require(inputs_.size() == 1, "from", "expected one row, got " + std::to_string(inputs_.size()));
    return inputs_.front();
  }
  std::int64_t in_channels() { return builder_.shape(inputs_.front()).channels; }

  // One after another, each with a name of its own.
  template <class Make>
  Value repeat(const Make& make) {
    Value x = only_input();
    if (repeats_ == 1) return make(x, name_);
    for (std::int64_t i = 0; i < repeats_; ++i) x = make(x, name_ + "." + std::to_string(i));
    return x;
  }

  Value module(const DetectorRow& row, RowArguments& arguments) {
    if (row.module == "Conv") return conv(arguments);
    if (row.module == "Bottleneck") return plain_bottleneck(arguments);
    if (row.module == "C3") return csp(c3, arguments, true);
    if (row.module == "C2f") return csp(c2f, arguments, false);
    if (row.module == "SPPF") return pyramid(arguments);
    if (row.module == "nn.Upsample") return enlarge(arguments);
    if (row.module == "nn.MaxPool2d") return pool(arguments);
    if (row.module == "nn.ZeroPad2d") return pad(arguments);
    if (row.module == "Concat") return join(arguments);
    if (row.module == "Detect") return detect(arguments);
    fail("module",
         "expected Conv, Bottleneck, C3, C2f, SPPF, nn.Upsample, nn.MaxPool2d, nn.ZeroPad2d, "
         "Concat or Detect");
  }

  Value conv(RowArguments& arguments) {
    ConvolutionOptions options{.out = channels(arguments),
                               .kernel = arguments.integer("kernel", kKernel, 1),
                               .stride = arguments.integer("stride", kKernel, 1),
                               .bias = false};
    options.padding = arguments.integer("padding", kPadding, options.kernel / 2);
    options.groups = arguments.integer("groups", kChannels, 1);
    layer_.arguments = printed({in_channels(), options.out, options.kernel, options.stride});
    return repeat(
        [&](Value x, const std::string& name) { return builder_.block(x, options, name); });
  }

  Value plain_bottleneck(RowArguments& arguments) {
    BottleneckOptions options{.out = channels(arguments)};
    options.shortcut = arguments.boolean("shortcut", true);
    options.groups = arguments.integer("groups", kChannels, 1);
    options.expansion = arguments.share("expansion", 0.5);
    layer_.arguments = printed({in_channels(), options.out});
    return repeat(
        [&](Value x, const std::string& name) { return bottleneck(builder_, x, options, name); });
  }

  template <class Block>
  Value csp(const Block& block, RowArguments& arguments, bool shortcut) {
    CspOptions options{.out = channels(arguments), .repeats = repeats_};
    options.shortcut = arguments.boolean("shortcut", shortcut);
    options.groups = arguments.integer("groups", kChannels, 1);
    options.expansion = arguments.share("expansion", 0.5);
    const Value x = only_input();
    layer_.arguments = list({std::to_string(in_channels()), std::to_string(options.out),
                             std::to_string(repeats_), options.shortcut ? "True" : "False"});
    return block(builder_, x, options, name_);
  }

  Value pyramid(RowArguments& arguments) {
    SppfOptions options{.out = channels(arguments)};
    options.kernel = arguments.integer("kernel", kKernel, 5);
    require(options.kernel % 2 == 1, "kernel", "expected an odd one");
    layer_.arguments = printed({in_channels(), options.out, options.kernel});
    return repeat(
        [&](Value x, const std::string& name) { return sppf(builder_, x, options, name); });
  }

  Value enlarge(RowArguments& arguments) {
    const std::string size = arguments.text("");
    require(size.empty(), "size", "expected None, got " + size);
    const std::int64_t factor = arguments.integer("factor", {1, 64}, std::nullopt);
    const std::string mode = arguments.text("nearest");
    require(mode == "nearest", "mode", "expected nearest, got " + mode);
    layer_.arguments = list({"None", std::to_string(factor), "nearest"});
    return repeat([&](Value x, const std::string&) { return builder_.upsample(x, factor); });
  }

  Value pool(RowArguments& arguments) {
    MaxPoolOptions options{.kernel = arguments.integer("kernel", kKernel, std::nullopt)};
    options.stride = arguments.integer("stride", kKernel, options.kernel);
    options.padding = arguments.integer("padding", {0, options.kernel / 2}, 0);
    layer_.arguments = printed({options.kernel, options.stride, options.padding});
    return repeat([&](Value x, const std::string&) { return builder_.max_pool(x, options); });
  }

  Value pad(RowArguments& arguments) {
    PadOptions options{.left = arguments.integer("left", kPadding, std::nullopt)};
    // One number: at every side.
    const bool all = arguments.done();
    for (std::int64_t* side : {&options.right, &options.top, &options.bottom}) {
      *side = all ? options.left : arguments.integer("side", kPadding, std::nullopt);
    }
    layer_.arguments = printed({options.left, options.right, options.top, options.bottom});
    return repeat([&](Value x, const std::string&) { return builder_.zero_pad(x, options); });
  }

  Value join(RowArguments& arguments) {
    const std::int64_t dimension = arguments.integer("dimension", {1, 1}, 1);
    require(repeats_ == 1, "number", "expected 1");
    layer_.arguments = printed({dimension});
    return builder_.concat(inputs_);
  }

  Value detect(RowArguments& arguments) {
    const std::string classes = arguments.text("nc");
    // A number in the table gives way to the data set's, as nc does.
    require(classes == "nc" || parse_number<std::int64_t>(classes).has_value(), "classes",
            "expected nc, got " + classes);
    require(repeats_ == 1, "number", "expected 1");
    result_.anchor_free = arguments.done();
    const std::string levels = std::to_string(inputs_.size());
    Heads heads;
    if (result_.anchor_free) {
      heads = distance_head(builder_, inputs_, classes_, name_);
    } else {
      require(arguments.text("") == "anchors", "anchors",
              "expected the word anchors, for the list of that name");
      require(table_.anchors.size() == inputs_.size(), "anchors",
              "expected a list for each of " + levels + " levels, got " +
                  std::to_string(table_.anchors.size()));
      heads = anchor_head(builder_, inputs_, channels_of_anchors(), name_);
    }
    layer_.arguments = list({std::to_string(classes_), "levels " + levels});
    result_.levels = std::move(heads.levels);
    result_.biases = std::move(heads.biases);
    return result_.levels.front();
  }

  std::int64_t channels_of_anchors() const {
    const std::size_t count = table_.anchors.front().size();
    for (const auto& level : table_.anchors) {
      require(level.size() == count && count > 0, "anchors",
              "expected as many anchors for every level");
    }
    return static_cast<std::int64_t>(count) * (5 + classes_);
  }

  const DetectorTable& table_;
  const std::int64_t classes_;
  NetworkBuilder& builder_;
  BuiltDetector result_;
  std::vector<Value> values_;  // of the rows so far
  std::vector<bool> used_;

  // Of the row that is built.
  std::vector<Value> inputs_;
  std::int64_t repeats_ = 1;
  std::string name_;
  DetectorLayer layer_;
};

}  // namespace

BuiltDetector build_detector(const DetectorTable& table,
                             std::int64_t classes,
                             NetworkBuilder& builder) {
  require(classes >= 1 && classes <= kChannels.most, table.name,
          "expected 1 to 65536 classes, got " + std::to_string(classes));
  return Walk(table, classes, builder).run();
}

}  // namespace ps::nn
