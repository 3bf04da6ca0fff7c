#include "net/shared_memory.h"

#include <fcntl.h>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <sys/mman.h>
#include <sys/stat.h>

namespace ps::net {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr std::size_t kPage = 4096;

// Huge pages where the system gives them to such memory; all of them there at once.
void touch(std::span<std::byte> bytes) {
  ::madvise(bytes.data(), bytes.size(), MADV_HUGEPAGE);
#if defined(MADV_POPULATE_WRITE)
  if (::madvise(bytes.data(), bytes.size(), MADV_POPULATE_WRITE) == 0) return;
#endif
  for (std::size_t at = 0; at < bytes.size(); at += kPage)
    *const_cast<volatile std::byte*>(&bytes[at]) = std::byte{0};
}

std::span<std::byte> map_shared(int fd, std::size_t bytes, SharedMapping::Access access) {
  const bool writes = access == SharedMapping::Access::kWrite;
  const int flags = MAP_SHARED | (writes ? 0 : MAP_POPULATE);
  void* const at =
      ::mmap(nullptr, bytes, writes ? PROT_READ | PROT_WRITE : PROT_READ, flags, fd, 0);
  if (at == MAP_FAILED) return {};
  return {static_cast<std::byte*>(at), bytes};
}

// What allocate_shared() has made and is still there, by address.
class Registry {
 public:
  void add(const std::shared_ptr<SharedMapping>& mapping) {
    const std::unique_lock lock(mutex_);
    mappings_.emplace(mapping->bytes().data(), mapping);
  }
  void remove(const std::byte* start) {
    const std::unique_lock lock(mutex_);
    mappings_.erase(start);
  }
  std::optional<SharedPlace> find(std::span<const std::byte> bytes) {
    const std::shared_lock lock(mutex_);
    const auto after = mappings_.upper_bound(bytes.data());
    if (after == mappings_.begin()) return std::nullopt;
    const std::shared_ptr<SharedMapping>& mapping = std::prev(after)->second;
    const auto offset = static_cast<std::size_t>(bytes.data() - mapping->bytes().data());
    if (offset > mapping->bytes().size() || bytes.size() > mapping->bytes().size() - offset)
      return std::nullopt;
    return SharedPlace{mapping, offset};
  }

 private:
  std::shared_mutex mutex_;
  std::map<const std::byte*, std::shared_ptr<SharedMapping>> mappings_;
};

Registry& registry() {
  static Registry* const instance = new Registry;  // outlives whatever static Memory there is
  return *instance;
}

}  // namespace

std::shared_ptr<SharedMapping> SharedMapping::create(std::size_t bytes) {
  Descriptor fd(::memfd_create("ps", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ::ftruncate(fd.get(), static_cast<::off_t>(bytes)) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) {
    return nullptr;
  }
  auto mapping = map(std::move(fd), bytes, Access::kWrite);
  if (mapping) touch(mapping->bytes());
  return mapping;
}

std::shared_ptr<SharedMapping> SharedMapping::map(Descriptor fd, std::size_t bytes, Access access) {
  struct ::stat info {};
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || ::fstat(fd.get(), &info) != 0 ||
      static_cast<std::uint64_t>(info.st_size) < bytes) {
    return nullptr;
  }
  const std::span<std::byte> mapped = map_shared(fd.get(), bytes, access);
  if (mapped.empty()) return nullptr;
  return std::shared_ptr<SharedMapping>(new SharedMapping(std::move(fd), mapped));
}

SharedMapping::~SharedMapping() {
  ::munmap(bytes_.data(), bytes_.size());
}

Memory allocate_shared(std::size_t bytes) {
  if (bytes == 0) return {};
  const std::shared_ptr<SharedMapping> mapping = SharedMapping::create(bytes);
  if (!mapping) return Memory::allocate(bytes);
  registry().add(mapping);
  const std::span<std::byte> view = mapping->bytes();
  std::shared_ptr<void> owner(
      view.data(), [](void* start) { registry().remove(static_cast<const std::byte*>(start)); });
  return {std::move(owner), view};
}

std::optional<SharedPlace> find_shared(std::span<const std::byte> bytes) {
  return registry().find(bytes);
}

}  // namespace ps::net
