#include "fiber.h"

#include <cstdint>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace cuda_host {
namespace {

constexpr std::size_t kStackBytes = 64 * 1024;

Fiber* g_left = nullptr;  // the one that the last switch left

std::size_t page_bytes() {
  return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace
}  // namespace cuda_host

// swapcontext asks the kernel for the signal mask each time; registers are all that is to be kept.
#if defined(__x86_64__)
extern "C" void cuda_host_switch(void** save, void* load);
asm(R"(
.pushsection .text
.p2align 4
.globl cuda_host_switch
.hidden cuda_host_switch
.type cuda_host_switch, @function
cuda_host_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_host_switch, .-cuda_host_switch
.popsection
)");
#endif

namespace cuda_host {

Fiber::Fiber(void (*entry)()) : size_(kStackBytes) {
  mapping_ = mmap(nullptr, kStackBytes + page_bytes(), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping_ == MAP_FAILED) std::abort();
  mprotect(mapping_, page_bytes(), PROT_NONE);
  auto* bottom = static_cast<std::byte*>(mapping_) + page_bytes();
  bottom_ = bottom;
#if defined(__x86_64__)
  // What cuda_host_switch pops: six registers (a null frame pointer ends back traces), where to
  // begin, and a return address that nobody returns to, which aligns the stack as a call does.
  auto* words = reinterpret_cast<std::uintptr_t*>(bottom + kStackBytes) - 8;
  words[6] = reinterpret_cast<std::uintptr_t>(entry);
  stack_pointer_ = words;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = bottom;
  context_.uc_stack.ss_size = kStackBytes;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
#endif
#if defined(__SANITIZE_THREAD__)
  sanitizer_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  if (mapping_ == nullptr) return;
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(sanitizer_);
#endif
  munmap(mapping_, kStackBytes + page_bytes());
}

void Fiber::adopt() {
#if defined(__SANITIZE_THREAD__)
  sanitizer_ = __tsan_get_current_fiber();
#endif
}

void Fiber::switch_to(Fiber& other) {
  g_left = this;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_stack_, other.bottom_, other.size_);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(other.sanitizer_, 0);
#endif
#if defined(__x86_64__)
  cuda_host_switch(&stack_pointer_, other.stack_pointer_);
#else
  swapcontext(&context_, &other.context_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack_, &g_left->bottom_, &g_left->size_);
#endif
}

void Fiber::entered() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &g_left->bottom_, &g_left->size_);
#endif
}

}  // namespace cuda_host
