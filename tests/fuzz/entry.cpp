// libFuzzer's way in: compiled once for each target, PS_FUZZ_TARGET being its function.
#include "fuzz/targets.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ps::fuzz::PS_FUZZ_TARGET(std::as_bytes(std::span(data, size)));
  return 0;
}
