#include "work.h"

#include <span>

#include "nn/detector_walk.h"
#include "nn/graph_builder.h"

namespace psbench {
namespace {

using namespace ps::nn;  // NOLINT: a program of its own

class Accountant final : public GraphBuilder {
 public:
  Accountant(Graph& graph, const DetectorTable& table, std::int64_t batch)
      : GraphBuilder(graph, table), batch_(static_cast<double>(batch)) {}

  [[nodiscard]] const std::vector<Work>& works() const { return works_; }

  Value add(Value a, Value b) override {
    const Value y = GraphBuilder::add(a, b);
    move("add", 3.0 * size(y));
    move("add backward", 2.0 * size(y));
    return y;
  }
  Value concat(std::span<const Value> values) override {
    const Value y = GraphBuilder::concat(values);
    const int parts = static_cast<int>(values.size());
    move("concat", 2.0 * size(y), parts);
    move("concat backward", 2.0 * size(y), parts);
    return y;
  }
  Value slice(Value x, const SliceOptions& options) override {
    const Value y = GraphBuilder::slice(x, options);
    move("slice", 2.0 * size(y));
    move("slice backward", size(x) + size(y));
    return y;
  }
  Value upsample(Value x, std::int64_t factor) override {
    const Value y = GraphBuilder::upsample(x, factor);
    move("upsample", size(x) + size(y));
    move("upsample backward", size(x) + size(y));
    return y;
  }
  Value max_pool(Value x, const MaxPoolOptions& options) override {
    const Value y = GraphBuilder::max_pool(x, options);
    move("max pool", size(x) + 2.0 * size(y));
    move("max pool backward", size(x) + 2.0 * size(y));
    return y;
  }
  // The heads' outputs, put together; the loss reads them and writes their gradient.
  void end(const std::vector<Value>& levels) {
    double all = 0.0;
    for (const Value level : levels) all += size(level);
    move("join", 2.0 * all, static_cast<int>(levels.size()));
    move("loss", 2.0 * all, 4 * static_cast<int>(levels.size()));
    move("join backward", 2.0 * all, static_cast<int>(levels.size()));
  }

 private:
  [[nodiscard]] double size(Value x) const { return batch_ * static_cast<double>(shape(x).size()); }
  void move(const char* kind, double floats, int launches = 1) {
    works_.push_back(
        {.kind = kind, .name = "", .floats = floats, .least = floats, .launches = launches});
  }

  Value make_convolution(Value x, const ConvolutionOptions& o, const std::string& name) override {
    const Value y = GraphBuilder::make_convolution(x, o, name);
    note_convolution(x, y, o, name);
    move("bias", 2.0 * size(y));
    works_.back().least = 0.0;  // could end the product
    move("bias backward", size(y));
    return y;
  }
  Value make_block(Value x, const ConvolutionOptions& o, const std::string& name) override {
    const Value y = GraphBuilder::make_block(x, o, name);
    note_convolution(x, y, o, name);
    // Forward: statistics, then normalize; backward: sums, then the gradient.
    const double n = size(y);
    works_.push_back(
        {.kind = "norm+SiLU", .name = name, .floats = 3 * n, .least = 2 * n, .launches = 2});
    works_.push_back({.kind = "norm+SiLU backward",
                      .name = name,
                      .floats = 5 * n,
                      .least = 3 * n,
                      .launches = 4});
    return y;
  }
  void note_convolution(Value x, Value y, const ConvolutionOptions& o, const std::string& name) {
    const double taps = static_cast<double>(shape(x).channels / o.groups * o.kernel * o.kernel);
    const double flops = 2.0 * size(y) * taps;
    const double floats = size(x) + size(y) + taps * static_cast<double>(o.out);
    const auto pass = [&](const char* kind, int launches) {
      works_.push_back({.kind = kind,
                        .name = name,
                        .flops = flops,
                        .floats = floats,
                        .least = floats,
                        .launches = launches});
    };
    pass("convolution", 1);
    if (x.index != 0) pass("convolution data", 1);
    pass("convolution weights", 2);
  }

  const double batch_;
  std::vector<Work> works_;
};

}  // namespace

std::vector<Work> works_of(const ps::nn::DetectorTable& table,
                           std::int64_t classes,
                           std::int64_t size,
                           std::int64_t batch) {
  Graph graph({.channels = 3, .height = size, .width = size});
  Accountant accountant(graph, table, batch);
  accountant.end(build_detector(table, classes, accountant).levels);
  return accountant.works();
}

}  // namespace psbench
