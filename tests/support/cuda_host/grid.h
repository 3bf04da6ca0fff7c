// Runs one launch: its blocks one after another, each block's threads on fibers.
#pragma once

#include <functional>
#include <string>

#include "cuda_runtime.h"
#include "random.h"

namespace cuda_host {

// What was found (a divergent barrier, a trap, an exception), or nothing. One at a time.
std::string run_grid(const Launch& launch, const std::function<void()>& thread, Choices& choices);

void set_shared_poison(unsigned char pattern);

}  // namespace cuda_host
