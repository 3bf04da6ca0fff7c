// device.h in a build without CUDA: there are no devices, and nothing of one can be made.
#include <ps/device.h>
#include <ps/error.h>

#include "kernels/device.h"

namespace ps {
namespace {

constexpr const char* kWhy = "this build of ps has no CUDA";

[[noreturn]] void unavailable() {
  throw Error(ErrorCode::kUnavailable, std::string(kWhy) + ": build it with PS_CUDA=ON");
}

}  // namespace

int cuda_device_count() noexcept {
  return 0;
}

std::string cuda_device_name(int /*index*/) {
  unavailable();
}

std::string why_no_cuda() {
  return kWhy;
}

void set_cuda_deadline(std::chrono::milliseconds /*deadline*/) noexcept {}

namespace kernels {

bool built_with_cuda() noexcept {
  return false;
}

void check_cuda(int /*status*/, const char* /*call*/, const char* /*file*/, int /*line*/) {
  unavailable();
}

DeviceGuard::DeviceGuard(int /*device*/) : previous_(0) {
  unavailable();
}
DeviceGuard::~DeviceGuard() = default;

void StreamView::wait(const Event& /*event*/) const {
  unavailable();
}
void StreamView::synchronize() const {
  unavailable();
}

Stream::Stream(int device) : view_(nullptr, device) {
  unavailable();
}
Stream::Stream(Stream&& other) noexcept = default;
Stream::~Stream() = default;

Event::Event(int device) : handle_(nullptr), device_(device) {
  unavailable();
}
Event::Event(Event&& other) noexcept = default;
Event::~Event() = default;

void Event::record(StreamView /*stream*/) {
  unavailable();
}
void Event::synchronize() const {
  unavailable();
}
bool Event::done() const {
  unavailable();
}

DeviceBuffer::DeviceBuffer(int /*device*/, std::size_t /*bytes*/) {
  unavailable();
}
DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept = default;
DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept = default;
DeviceBuffer::~DeviceBuffer() = default;

PinnedBuffer::PinnedBuffer(std::size_t /*bytes*/) {
  unavailable();
}
PinnedBuffer::PinnedBuffer(PinnedBuffer&& other) noexcept = default;
PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept = default;
PinnedBuffer::~PinnedBuffer() = default;

HostRegistration::HostRegistration(std::span<const std::byte> /*memory*/) {}
HostRegistration::HostRegistration(HostRegistration&& other) noexcept = default;
HostRegistration& HostRegistration::operator=(HostRegistration&& other) noexcept = default;
HostRegistration::~HostRegistration() = default;

void copy_to_device(void* /*to*/, const void* /*from*/, std::size_t /*n*/, StreamView /*stream*/) {
  unavailable();
}
void copy_to_host(void* /*to*/, const void* /*from*/, std::size_t /*n*/, StreamView /*stream*/) {
  unavailable();
}
void copy_on_device(void* /*to*/, const void* /*from*/, std::size_t /*n*/, StreamView /*stream*/) {
  unavailable();
}
void copy_between(void* /*to*/,
                  int /*to_device*/,
                  const void* /*from*/,
                  int /*from_device*/,
                  std::size_t /*bytes*/,
                  StreamView /*stream*/) {
  unavailable();
}
void fill_zero(void* /*to*/, std::size_t /*bytes*/, StreamView /*stream*/) {
  unavailable();
}

}  // namespace kernels
}  // namespace ps
