// Ends the program before its first test where there is no GPU to run them: one line that says why,
// and the exit code that ctest takes for skipped.
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <cstdio>
#include <cstdlib>

#include <catch2/catch.hpp>

#include <ps/device.h>

#if defined(PS_CUDA_EMULATED)
#include <cuda_host.h>
#endif

namespace {

constexpr int kSkipped = 77;

class NeedsDevice : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;

  void testRunStarting(const Catch::TestRunInfo& /*run*/) override {
#if defined(PS_CUDA_EMULATED)
    cuda_host::set_devices(1);
#endif
    if (ps::cuda_device_count() > 0) {
      std::printf("on %s\n", ps::cuda_device_name(0).c_str());
      std::fflush(stdout);
      return;
    }
    std::printf("skipped: no CUDA driver answers (%s)\n", ps::why_no_cuda().c_str());
    std::fflush(stdout);
    std::_Exit(kSkipped);
  }
};
CATCH_REGISTER_LISTENER(NeedsDevice)

}  // namespace
