// The runtime's API of captures and graphs, over emulator.h. A graph's streams are streams: they
// are late, and order each other by events only.
#include <map>
#include <utility>

#include "emulator.h"

using cuda_host::Capture;
using cuda_host::Captures;
using cuda_host::Emulator;
using cuda_host::lock;
using cuda_host::Node;
using cuda_host::Record;
using cuda_host::Work;

struct CUgraph_st {
  std::vector<Node> nodes;
  std::vector<int> devices;  // of each branch
};

struct CUgraphExec_st {
  std::vector<Node> nodes;
  std::vector<CUstream_st*> streams;  // of each branch; of the first, that of the launch: null
  std::shared_ptr<Record> last;       // the end of the last launch
};

namespace {

// Empty if nothing is wrong with the memory that the graph names.
std::string memory_fault(const CUgraphExec_st& graph) {
  for (const Node& node : graph.nodes) {
    std::string why = node.work.fault == nullptr ? "" : node.work.fault();
    if (!why.empty()) return "in a graph, " + why;
  }
  return "";
}

void play(CUgraphExec_st& graph, CUstream_st* stream) {
  Emulator& emulator = Emulator::get();
  if (graph.last != nullptr && !graph.last->done) {  // a graph does not overtake itself
    emulator.push(stream, {.kind = Work::Kind::kWait, .record = graph.last});
  }
  std::map<const Record*, std::shared_ptr<Record>> records;  // the capture's and this launch's
  for (const Node& node : graph.nodes) {
    CUstream_st* const place = node.branch == 0 ? stream : graph.streams[node.branch];
    Work work = node.work;
    if (work.record != nullptr) {
      std::shared_ptr<Record>& own = records[work.record.get()];
      if (own == nullptr) own = std::make_shared<Record>(Record{.stream = place});
      work.record = own;
    }
    emulator.push(place, std::move(work));
  }
  graph.last = std::make_shared<Record>(Record{.stream = stream});
  emulator.push(stream, {.kind = Work::Kind::kRecord, .record = graph.last});
}

// Whether the stream takes graphs: one that captures does not, though CUDA's do.
cudaError_t check_for_graph(cudaStream_t stream) {
  if (const auto status = Emulator::get().check(stream); status != cudaSuccess) return status;
  if (stream->capture == nullptr) return cudaSuccess;
  return Captures::refuse(stream->capture.get(), cudaErrorNotSupported,
                          "a graph within a graph is not emulated");
}

}  // namespace

// NOLINTBEGIN: the names are CUDA's

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const auto held = lock();
  Emulator& emulator = Emulator::get();
  if (const auto status = emulator.known(stream); status != cudaSuccess) return status;
  if (stream->capture != nullptr) {
    return Captures::refuse(stream->capture.get(), cudaErrorIllegalState,
                            "the stream captures already");
  }
  if (mode != cudaStreamCaptureModeThreadLocal) {
    return emulator.error(cudaErrorNotSupported, "only thread-local captures are emulated");
  }
  emulator.captures.begin(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const auto held = lock();
  Emulator& emulator = Emulator::get();
  *graph = nullptr;
  if (const auto status = emulator.known(stream); status != cudaSuccess) return status;
  if (stream->capture == nullptr) {
    return emulator.error(cudaErrorIllegalState, "the stream does not capture");
  }
  if (stream->capture->thread != std::this_thread::get_id()) {
    return emulator.error(cudaErrorStreamCaptureWrongThread, "another thread began the capture");
  }
  if (stream->branch != 0) {
    return Captures::refuse(stream->capture.get(), cudaErrorStreamCaptureUnmatched,
                            "the capture began in another stream");
  }
  const std::shared_ptr<Capture> capture = emulator.captures.end(stream);
  if (!capture->fault.empty()) {
    return emulator.error(cudaErrorStreamCaptureInvalidated, capture->fault);
  }
  const std::string why = unjoined(*capture);
  if (!why.empty()) return emulator.error(cudaErrorStreamCaptureUnjoined, why);
  *graph = new CUgraph_st{std::move(capture->nodes), {}};
  for (const auto& branch : capture->branches) (*graph)->devices.push_back(branch.stream->device);
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const auto held = lock();
  if (const auto known = Emulator::get().known(stream); known != cudaSuccess) return known;
  *status = stream->capture == nullptr       ? cudaStreamCaptureStatusNone
            : stream->capture->fault.empty() ? cudaStreamCaptureStatusActive
                                             : cudaStreamCaptureStatusInvalidated;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* made,
                                          cudaGraph_t graph,
                                          unsigned long long flags) {
  const auto held = lock();
  Emulator& emulator = Emulator::get();
  *made = nullptr;
  if (graph == nullptr || flags != 0) {
    return emulator.error(cudaErrorInvalidValue, "no graph, or flags that are not emulated");
  }
  const auto status = emulator.captures.may_call("cudaGraphInstantiateWithFlags");
  if (status != cudaSuccess) return status;
  if (emulator.refuse_graphs) {
    return emulator.error(cudaErrorMemoryAllocation, "graphs are refused");
  }
  ++emulator.counters.allocations;
  *made = new CUgraphExec_st{graph->nodes, {nullptr}, nullptr};
  for (std::size_t i = 1; i < graph->devices.size(); ++i) {
    (*made)->streams.push_back(emulator.create(graph->devices[i]));
  }
  return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t graph, cudaStream_t stream) {
  const auto held = lock();
  if (graph == nullptr) return Emulator::get().error(cudaErrorInvalidValue, "no graph");
  return check_for_graph(stream);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  const auto held = lock();
  Emulator& emulator = Emulator::get();
  if (graph == nullptr) return emulator.error(cudaErrorInvalidValue, "no graph");
  if (const auto status = check_for_graph(stream); status != cudaSuccess) return status;
  const std::string why = memory_fault(*graph);
  if (!why.empty()) return emulator.error(cudaErrorInvalidValue, why);
  ++emulator.counters.graph_launches;
  play(*graph, stream);
  return cudaSuccess;
}

// What was launched is done all the same.
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  const auto held = lock();
  Emulator& emulator = Emulator::get();
  if (graph == nullptr) return emulator.error(cudaErrorInvalidValue, "no graph");
  const auto status = emulator.captures.may_call("cudaGraphExecDestroy");
  ++emulator.counters.frees;
  for (CUstream_st* stream : graph->streams) {
    if (stream != nullptr) emulator.destroy(stream);
  }
  delete graph;
  return status;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const auto held = lock();
  if (graph == nullptr) return Emulator::get().error(cudaErrorInvalidValue, "no graph");
  delete graph;
  return cudaSuccess;
}

// NOLINTEND
