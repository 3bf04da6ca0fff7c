#include "capture.h"

#include <algorithm>
#include <utility>

#include "emulator.h"

namespace cuda_host {

void Captures::begin(CUstream_st* stream) {
  auto capture = std::make_shared<Capture>();
  capture->id = ++last_id_;
  capture->thread = std::this_thread::get_id();
  active_.push_back(capture);
  join(stream, capture);
}

void Captures::join(CUstream_st* stream, const std::shared_ptr<Capture>& capture) {
  stream->capture = capture;
  stream->branch = capture->branches.size();
  capture->branches.push_back({stream, std::vector<std::size_t>(stream->branch + 1)});
}

std::shared_ptr<Capture> Captures::end(CUstream_st* stream) {
  auto capture = stream->capture;
  for (const Branch& branch : capture->branches) branch.stream->capture = nullptr;
  std::erase(active_, capture);
  return capture;
}

void Captures::add(CUstream_st* stream, Work work) {
  Capture& capture = *stream->capture;
  std::vector<std::size_t>& seen = capture.branches[stream->branch].seen;
  if (work.kind == Work::Kind::kRun) ++seen[stream->branch];
  if (work.kind == Work::Kind::kRecord) {
    work.record->capture = capture.id;
    work.record->seen = seen;
  }
  if (work.kind == Work::Kind::kWait) {
    const std::vector<std::size_t>& known = work.record->seen;
    seen.resize(std::max(seen.size(), known.size()));
    for (std::size_t i = 0; i < known.size(); ++i) seen[i] = std::max(seen[i], known[i]);
  }
  capture.nodes.push_back({stream->branch, std::move(work)});
}

cudaError_t Captures::wait(CUstream_st* stream, const std::shared_ptr<Record>& record) {
  Work work{.kind = Work::Kind::kWait, .record = record};
  const std::shared_ptr<Capture> own = stream->capture;
  if (record->capture == 0) {
    if (own != nullptr) {
      return refuse(own.get(), cudaErrorStreamCaptureIsolation,
                    "a stream that captures waits for an event from outside of the capture");
    }
    Emulator::get().push(stream, std::move(work));
    return cudaSuccess;
  }
  const std::shared_ptr<Capture> other = find(record->capture);
  if (other == nullptr) {
    return refuse(own.get(), cudaErrorCapturedEvent,
                  "a stream waits for an event of a capture that has ended");
  }
  if (!other->fault.empty()) {
    return refuse(own.get(), cudaErrorStreamCaptureInvalidated, other->fault);
  }
  if (own == nullptr) {
    join(stream, other);
    ++other->branches.back().seen.back();  // a branch has to be joined even if it does nothing
  } else if (own != other) {
    const char* const why = "a wait would make one of two captures";
    refuse(other.get(), cudaErrorStreamCaptureMerge, why);
    return refuse(own.get(), cudaErrorStreamCaptureMerge, why);
  }
  add(stream, std::move(work));
  return cudaSuccess;
}

cudaError_t Captures::refuse(Capture* capture, cudaError_t code, const std::string& why) {
  if (capture != nullptr && capture->fault.empty()) capture->fault = why;
  return Emulator::get().error(code, why);
}

cudaError_t Captures::may_wait(const char* call, const CUstream_st* stream) {
  if (stream->capture == nullptr) return may_call(call);
  return refuse(stream->capture.get(), cudaErrorStreamCaptureUnsupported,
                std::string(call) + " of a stream that captures");
}

cudaError_t Captures::may_wait(const char* call, const Record* record) {
  if (record == nullptr || record->capture == 0) return may_call(call);
  return refuse(find(record->capture).get(), cudaErrorCapturedEvent,
                std::string(call) + " of an event that was recorded within a capture");
}

cudaError_t Captures::may_call(const char* call) {
  for (const auto& capture : active_) {
    if (capture->thread != std::this_thread::get_id()) continue;
    return refuse(capture.get(), cudaErrorStreamCaptureUnsupported,
                  std::string(call) + " by a thread that captures");
  }
  return cudaSuccess;
}

cudaError_t Captures::may_wait_for_device(const char* call, int device) {
  for (const auto& capture : active_) {
    for (const Branch& branch : capture->branches) {
      if (branch.stream->device == device) return may_wait(call, branch.stream);
    }
  }
  return may_call(call);
}

void Captures::clear() {
  while (!active_.empty()) end(active_.back()->branches.front().stream);
}

std::shared_ptr<Capture> Captures::find(std::uint64_t id) const {
  const auto found = std::find_if(active_.begin(), active_.end(),
                                  [id](const auto& capture) { return capture->id == id; });
  return found == active_.end() ? nullptr : *found;
}

std::string unjoined(const Capture& capture) {
  const std::vector<std::size_t>& seen = capture.branches.front().seen;
  for (std::size_t i = 1; i < capture.branches.size(); ++i) {
    if (i < seen.size() && seen[i] == capture.branches[i].seen[i]) continue;
    return "the capture's stream number " + std::to_string(i) +
           " does something that the first one does not wait for";
  }
  return "";
}

}  // namespace cuda_host
