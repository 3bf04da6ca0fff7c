// A GPU of the host's: runs kernels, compiled as C++, so that they fail where a GPU only might.
// What tests ask of it. It knows CUDA's words (cuda_runtime.h) and nothing of ps.
//
// Threads of a block are fibers, run one after another in a seeded random order between barriers.
// Streams are queues that run as late as they may: when somebody waits or asks, in a seeded random
// order that respects events. Shared and device memory hold a pattern before they are written. A
// finding (a divergent barrier, say) is an error of the next call that waits, as a kernel's fault
// is; its text is the error's string. All of it is safe to use from several threads; one runs at a
// time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cuda_host {

// How many devices there are. Before the first call: what the environment's PS_EMULATED_DEVICES
// says, or none.
void set_devices(int count);

// Orders from now on follow from `value`.
void seed(std::uint64_t value);

// What memory holds before it is written: shared memory at a block's start, device memory when
// allocated. 0xFF (NaN as a float) unless set.
void set_poison(unsigned char pattern);

// Whether cudaHostRegister is refused, as a driver may.
void refuse_registration(bool refuse);

// Whether graphs of captured work are refused, as for want of memory; until reset().
void refuse_graphs(bool refuse);

// Whether the devices hang: whoever asks hears that nothing is done yet; until reset().
void hang(bool hang);

// Whether anything was done with the device since the last reset(): a real one has a context then,
// which takes memory.
bool has_context(int device);

// Drops what is enqueued anywhere and forgets errors: after a test that planted one.
void reset();

struct Counters {
  std::int64_t launches;     // of kernels and products, a graph's each time that it is launched
  std::int64_t copies;       // copies and fills
  std::int64_t allocations;  // of device and pinned memory, registrations and graphs
  std::int64_t frees;
  std::int64_t
      device_waits;  // cudaDeviceSynchronize; frees, which wait for all, are not counted here
  std::int64_t stream_waits;
  std::int64_t event_waits;
  std::int64_t graph_launches;
};
// Since the program's start.
Counters counters();

}  // namespace cuda_host
