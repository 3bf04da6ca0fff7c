// Recordings on a GPU, emulated or not. What only the emulator can show: cuda_host_graph_test.cpp.
#include "kernels/recording.h"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <ps/error.h>

#include "kernels/backend_pair.h"

namespace ps::kernels {
namespace {

constexpr Linear kLayer{.batch = 5, .inputs = 37, .outputs = 11};
constexpr std::int64_t kInputs = kLayer.batch * kLayer.inputs;
constexpr std::int64_t kOutputs = kLayer.batch * kLayer.outputs;

// Kernels, copies and a product that add to a sum on the device, which comes to the host each time.
class Step {
 public:
  Step() {
    const std::vector<float> values = random_floats(kLayer.outputs * kLayer.inputs, 2);
    gpu_->upload(values.data(), weights(), values.size() * sizeof(float));
    gpu_->wait();
    input(1);
  }

  void input(std::uint64_t seed) {
    const std::vector<float> values = random_floats(kInputs, seed);
    std::copy(values.begin(), values.end(), in_.as<float>());
  }
  void enqueue() {
    gpu_->upload(in_.as<float>(), x(), in_.size());
    gpu_->linear(kLayer, x(), weights(), nullptr, y());
    gpu_->activate({ActivationKind::kSilu}, y(), y(), kOutputs);
    gpu_->copy(y(), z(), kOutputs);
    gpu_->add(sum(), z(), sum(), kOutputs);
    gpu_->scale(sum(), kOutputs, 0.75F);
    gpu_->zero(z(), kOutputs);
    gpu_->download(sum(), out_.as<float>(), out_.size());
  }
  Recording record() {
    return Recording::of(stream(), [this] { enqueue(); });
  }
  std::vector<float> output() {
    gpu_->wait();
    return {out_.as<float>(), out_.as<float>() + kOutputs};
  }
  [[nodiscard]] StreamView stream() const { return *gpu_->queue(); }

 private:
  float* x() { return memory_.as<float>().data(); }
  float* weights() { return x() + 256; }
  float* y() { return weights() + 512; }
  float* z() { return y() + 64; }
  float* sum() { return z() + 64; }

  std::unique_ptr<Backend> gpu_ = cuda_backend(0);
  Memory memory_ = gpu_->allocate(1024 * sizeof(float));
  PinnedBuffer in_{kInputs * sizeof(float)};
  PinnedBuffer out_{kOutputs * sizeof(float)};
};

std::vector<int> fetched(const DeviceBuffer& from, StreamView stream) {
  std::vector<int> values(from.size() / sizeof(int), -1);
  copy_to_host(values.data(), from.data(), from.size(), stream);
  stream.synchronize();
  return values;
}

}  // namespace

TEST_CASE("Recording: launches have the bits of enqueueing the work", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  Step direct;
  Step recorded;
  direct.enqueue();
  recorded.enqueue();
  REQUIRE(same_bits(direct.output(), recorded.output()));
  Recording recording = recorded.record();
  for (std::uint64_t seed = 3; seed < 6; ++seed) {
    direct.input(seed);
    recorded.input(seed);  // what is there when the copy runs
    for (int i = 0; i < 2; ++i) {
      direct.enqueue();
      recording.launch(recorded.stream());
    }
    CHECK(same_bits(direct.output(), recorded.output()));
  }
  recorded.enqueue();  // and between launches
  direct.enqueue();
  CHECK(same_bits(direct.output(), recorded.output()));
}

TEST_CASE("Recording: nothing of it runs before it is launched", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  Step step;
  step.enqueue();
  const std::vector<float> before = step.output();
  Recording recording = step.record();
  step.input(9);
  CHECK(same_bits(step.output(), before));
  recording.launch(step.stream());
  CHECK_FALSE(same_bits(step.output(), before));
}

TEST_CASE("Recording: is empty, is moved, and is launched on other streams", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  Recording none;
  const Stream first(0);
  const Stream second(0);
  CHECK_FALSE(none);
  CHECK_THROWS_WITH(none.launch(first), Catch::Matchers::Contains("empty"));
  const DeviceBuffer a(0, 16 * sizeof(int));
  const std::vector<int> ones(16, 1);
  copy_to_device(a.data(), ones.data(), a.size(), second);
  second.synchronize();
  Recording made = Recording::of(first, [&] { fill_zero(a.data(), 8 * sizeof(int), first); });
  CHECK(made);
  Recording moved(std::move(made));
  none = std::move(moved);
  none.launch(second);
  std::vector<int> expected(16, 1);
  std::fill_n(expected.begin(), 8, 0);
  CHECK(fetched(a, second) == expected);
  Recording nothing = Recording::of(first, [] {});
  nothing.launch(first);
  first.synchronize();
}

TEST_CASE("Recording: streams fork and join by events", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  const Stream stream(0);
  const Stream side(0);
  const DeviceBuffer a(0, 64 * sizeof(int));
  const DeviceBuffer b(0, 64 * sizeof(int));
  const DeviceBuffer c(0, 64 * sizeof(int));
  PinnedBuffer in(64 * sizeof(int));
  Event begun(0);
  Event done(0);
  Recording recording = Recording::of(stream, [&] {
    copy_to_device(a.data(), in.as<int>(), a.size(), stream);
    begun.record(stream);
    side.view().wait(begun);
    copy_on_device(b.data(), a.data(), b.size(), side);
    done.record(side);
    stream.view().wait(done);
    copy_on_device(c.data(), b.data(), c.size(), stream);
  });
  for (int round = 1; round < 8; ++round) {
    std::fill_n(in.as<int>(), 64, round);
    recording.launch(stream);
    CHECK(fetched(c, stream) == std::vector<int>(64, round));
  }
  // Afterwards they are as before.
  fill_zero(b.data(), b.size(), side);
  done.record(side);
  stream.view().wait(done);
  CHECK(fetched(b, stream) == std::vector<int>(64, 0));
  CHECK(done.done());
}

TEST_CASE("Recording: what throws leaves the stream as it was", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  Step direct;
  Step step;
  direct.enqueue();
  step.enqueue();
  CHECK_THROWS_AS(Recording::of(step.stream(),
                                [&] {
                                  step.enqueue();
                                  throw std::runtime_error("half way");
                                }),
                  std::runtime_error);
  CHECK(same_bits(step.output(), direct.output()));
  direct.enqueue();
  direct.enqueue();
  step.enqueue();
  Recording recording = step.record();
  recording.launch(step.stream());
  CHECK(same_bits(step.output(), direct.output()));
}

TEST_CASE("Recording: who waits, asks or allocates spoils it", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  const Stream stream(0);
  const Stream side(0);
  const DeviceBuffer a(0, 16 * sizeof(int));
  Event outside(0);
  Event within(0);
  outside.record(side);
  side.synchronize();
  const std::vector<std::function<void()>> misuses = {
      [&] { stream.synchronize(); },
      [&] { stream.view().wait(outside); },
      [&] {
        within.record(stream);
        within.synchronize();
      },
      [&] {
        within.record(stream);
        static_cast<void>(within.done());
      },
      [&] { DeviceBuffer(0, 64); },
  };
  CHECK_THROWS_AS(Recording::of(stream, [&] { Recording::of(stream, [] {}); }), Error);
  for (std::size_t i = 0; i < misuses.size(); ++i) {
    CAPTURE(i);
    const auto enqueue = [&](bool quietly) {
      fill_zero(a.data(), a.size(), stream);
      try {
        misuses[i]();
      } catch (const Error&) {
        if (!quietly) throw;
      }
    };
    CHECK_THROWS_AS(Recording::of(stream, [&] { enqueue(false); }), Error);
    // It is spoilt even if the error is lost.
    CHECK_THROWS_AS(Recording::of(stream, [&] { enqueue(true); }), Error);
    Recording right = Recording::of(stream, [&] { fill_zero(a.data(), a.size(), stream); });
    right.launch(stream);
    CHECK(fetched(a, stream) == std::vector<int>(16, 0));
  }
}

TEST_CASE("Recording: another stream that is not waited for spoils it", "[unit]") {
  const TestDevice device;
  if (!TestDevice::there()) return;
  const Stream stream(0);
  const Stream side(0);
  const DeviceBuffer a(0, 16 * sizeof(int));
  Event begun(0);
  CHECK_THROWS_AS(Recording::of(stream,
                                [&] {
                                  begun.record(stream);
                                  side.view().wait(begun);
                                  fill_zero(a.data(), a.size(), side);
                                }),
                  Error);
  fill_zero(a.data(), a.size(), side);
  CHECK(fetched(a, side) == std::vector<int>(16, 0));
}

}  // namespace ps::kernels
