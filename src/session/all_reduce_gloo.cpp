#include <algorithm>
#include <exception>
#include <filesystem>
#include <gloo/allreduce.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

#include <ps/error.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "session/all_reduce.h"

namespace ps {
namespace {

[[noreturn]] void fail(const std::string& what, const std::exception& error) {
  throw Error(ErrorCode::kUnavailable, what + ": " + error.what());
}

// Where workers leave their addresses. Gloo looks for those of others without a deadline of ours.
class Meeting final : public gloo::rendezvous::FileStore {
 public:
  Meeting(const std::string& folder, std::chrono::milliseconds patience)
      : FileStore(folder), patience_(patience) {}
  using FileStore::wait;
  void wait(const std::vector<std::string>& keys) override { FileStore::wait(keys, patience_); }

 private:
  const std::chrono::milliseconds patience_;
};

class Ring final : public AllReduce {
 public:
  Ring(const Options& options, std::size_t shares, std::size_t floats)
      : floats_(floats), values_(Memory::allocate((floats + shares) * sizeof(float))) {
    try {
      gloo::transport::tcp::attr address;
      address.hostname = options.host;
      auto device = gloo::transport::tcp::CreateDevice(address);
      const auto folder = std::filesystem::path(options.directory) / options.name;
      std::filesystem::create_directories(folder);
      Meeting store(folder.string(), options.patience);
      auto context = std::make_shared<gloo::rendezvous::Context>(static_cast<int>(options.rank),
                                                                 static_cast<int>(options.workers));
      context->setTimeout(options.patience);
      context->connectFullMesh(store, device);
      context_ = context;
    } catch (const std::exception& error) {
      fail("worker " + std::to_string(options.rank) + " cannot reach the other " +
               std::to_string(options.workers - 1) + " for all-reduce (" + options.host + ", " +
               options.directory + ")",
           error);
    }
  }

  void mean(std::span<const Share> shares) override {
    const std::span<float> values = values_.as<float>();
    const std::span<float> weights = values.subspan(floats_);
    PS_ASSERT(weights.size() == shares.size(), "as many shares as the ring was made for");
    for (std::size_t at = 0, i = 0; i < shares.size(); at += shares[i++].from.size()) {
      const auto weight = weights[i] = static_cast<float>(shares[i].weight);
      const std::span<float> mine = values.subspan(at, shares[i].from.size());
      // Nothing of a share that does not count, which may be a NaN.
      if (weight == 0) std::ranges::fill(mine, 0.0F);
      if (weight != 0)
        std::ranges::transform(shares[i].from, mine.begin(), [=](float x) { return weight * x; });
    }
    add_up(values);
    for (std::size_t at = 0, i = 0; i < shares.size(); at += shares[i++].from.size()) {
      if (weights[i] == 0) continue;
      const float weight = weights[i];
      std::ranges::transform(values.subspan(at, shares[i].to.size()), shares[i].to.begin(),
                             [=](float sum) { return sum / weight; });
    }
  }

 private:
  void add_up(std::span<float> values) {
    try {
      gloo::AllreduceOptions options(context_);
      options.setOutput(values.data(), values.size());
      options.setAlgorithm(gloo::AllreduceOptions::Algorithm::RING);
      using Sum = void (*)(void*, const void*, const void*, std::size_t);
      options.setReduceFunction(static_cast<Sum>(&gloo::sum<float>));
      gloo::allreduce(options);
    } catch (const std::exception& error) {
      fail("all-reduce: a worker is gone or silent", error);
    }
  }

  const std::size_t floats_;
  const Memory values_;  // the shares' values, then their weights
  std::shared_ptr<gloo::Context> context_;
};

}  // namespace

bool AllReduce::available() noexcept {
  return true;
}

std::unique_ptr<AllReduce> AllReduce::connect(const Options& options,
                                              std::size_t shares,
                                              std::size_t floats) {
  return std::make_unique<Ring>(options, shares, floats);
}

}  // namespace ps
