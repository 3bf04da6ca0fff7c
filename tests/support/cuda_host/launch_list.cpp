#include "launch_list.h"

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <string>
#include <unistd.h>

#include "emulator.h"

namespace cuda_host {
namespace {

// "<module, empty for the program>\t<address within it>\t<launches>"
std::string line_of(const void* kernel, std::int64_t launches) {
  Dl_info info{};
  link_map* module = nullptr;
  if (dladdr1(kernel, &info, reinterpret_cast<void**>(&module), RTLD_DL_LINKMAP) == 0) return "";
  char address[32];
  std::snprintf(address, sizeof address, "%zx",
                reinterpret_cast<std::size_t>(kernel) - static_cast<std::size_t>(module->l_addr));
  return std::string(module->l_name) + '\t' + address + '\t' + std::to_string(launches) + '\n';
}

// In one piece, which other processes that end do not tear.
void append_to(const char* path, const std::string& text) {
  const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const bool done =
      file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (!done) std::fprintf(stderr, "cuda_host: cannot append to %s (PS_EMULATED_LAUNCHES)\n", path);
  if (file >= 0) close(file);
}

}  // namespace

LaunchList::LaunchList() : path_(std::getenv("PS_EMULATED_LAUNCHES")) {
  if (path_ == nullptr) return;
  std::atexit([] {
    const auto held = lock();
    const LaunchList& list = Emulator::get().launched;
    std::string text;
    for (const auto& [kernel, launches] : list.counts_) text += line_of(kernel, launches);
    append_to(list.path_, text);
  });
}

}  // namespace cuda_host
