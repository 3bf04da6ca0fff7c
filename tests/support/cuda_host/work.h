// What streams are told to do.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda_runtime.h"

namespace cuda_host {

// One time that an event was recorded.
struct Record {
  bool done = false;
  CUstream_st* stream = nullptr;       // which is there until it is done
  std::uint64_t capture = 0;           // within which it was recorded, if any: it is never done
  std::vector<std::size_t> seen = {};  // there: as its branch had
};

// One entry of a stream's queue, or of what it captures.
struct Work {
  enum class Kind : std::uint8_t { kRun, kRecord, kWait } kind = Kind::kRun;
  std::function<void()> run = nullptr;
  std::shared_ptr<Record> record = nullptr;
  std::int64_t Counters::*counted = nullptr;
  // What is wrong with its memory now: asked at each launch of a graph, or may be null.
  std::function<std::string()> fault = nullptr;
};

}  // namespace cuda_host
