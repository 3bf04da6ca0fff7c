// The same work for every index, on several threads at once: what a scan or a generator needs. Not
// a thread pool: the threads end with the call.
#pragma once

#include <cstddef>
#include <functional>

namespace ps::vision {

// Calls work(i) once for each i in [0, count), from `threads` threads (0: the machine's cores) of
// which the caller is one. From the caller's thread alone progress(done, count) is called now and
// then and at the end; it may be empty. The first exception (by index, of those that happened) is
// thrown again once all threads have stopped.
void for_each_index(std::size_t count,
                    std::size_t threads,
                    const std::function<void(std::size_t)>& work,
                    const std::function<void(std::size_t, std::size_t)>& progress);

}  // namespace ps::vision
