// Means over the workers by Gloo's ring, which Horovod and PyTorch's DDP use as well: the baseline
// that consistency.mode = allreduce runs. The only user of Gloo; in a build without it
// (all_reduce_none.cpp) connect() says so.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "worker/replica.h"

namespace ps {

class AllReduce {
 public:
  struct Options {
    std::uint32_t rank = 0;
    std::uint32_t workers = 1;
    // All workers' own, where they find each other; may be one of a file system that hosts share.
    std::string directory;
    std::string name;                            // of the ring in that directory
    std::string host = "127.0.0.1";              // this worker's address
    std::chrono::milliseconds patience{30'000};  // of any one wait for a neighbour
  };
  // `to` stays as it is where all workers' weights are 0. Weights are exact below 2^24.
  using Share = worker::Replica::Share;

  virtual ~AllReduce() = default;

  // Whether this build has Gloo.
  static bool available() noexcept;

  // Returns once all workers are there. Throws Error{kUnavailable} without Gloo, or if they do not
  // come. `floats`: of all shares together.
  static std::unique_ptr<AllReduce> connect(const Options& options,
                                            std::size_t shares,
                                            std::size_t floats);

  // All workers at once, with as many shares of the same sizes in the same order. The same bits on
  // every rank. Throws Error{kUnavailable} when a neighbour is gone or silent; the ring is of no
  // use afterwards.
  virtual void mean(std::span<const Share> shares) = 0;
};

}  // namespace ps
