#include "net/shm_lending.h"

#include "net/unix_socket.h"

namespace ps::net {
namespace {

constexpr std::size_t kMaxRegions = 4096;
constexpr std::uint64_t kMaxRegionBytes = std::uint64_t{1} << 40;
constexpr std::uint64_t kAlignment = 16;   // of a loan, so that kernels read it like any payload
constexpr std::size_t kLookedAtOnce = 16;  // loans, to see whether they have come back

}  // namespace

std::optional<Loan> Lender::lend(const Buffer& payload, int socket) {
  if (payload.size() < kMinLoanBytes || socket < 0) return std::nullopt;
  if (free_.empty() && used_ == kMaxLoans) return std::nullopt;
  const auto place = find_shared(payload.bytes());
  if (!place || place->offset % kAlignment != 0) return std::nullopt;
  Loan loan{.region = introduce(place->mapping, socket), .offset = place->offset};
  if (loan.region == 0) return std::nullopt;
  if (free_.empty()) {
    loan.number = used_++;
  } else {
    loan.number = free_.back();
    free_.pop_back();
  }
  (*flags_)[loan.number].store(1, std::memory_order_relaxed);  // the ring publishes it
  out_.push_back({loan.number, payload});
  return loan;
}

// 0 when the peer cannot be told now.
std::uint32_t Lender::introduce(const std::shared_ptr<SharedMapping>& mapping, int socket) {
  if (const auto known = regions_.find(mapping); known != regions_.end()) return known->second;
  if (regions_.size() == kMaxRegions) return 0;
  const auto region = static_cast<std::uint32_t>(regions_.size() + 1);
  const RegionNotice notice{.region = region, .bytes = mapping->bytes().size()};
  const std::array<int, 1> fd{mapping->fd()};
  if (!send_with_fds(socket, std::as_bytes(std::span(&notice, 1)), fd)) return 0;
  regions_.emplace(mapping, region);
  return region;
}

void Lender::collect() {
  for (std::size_t i = std::min(out_.size(), kLookedAtOnce); i > 0; --i) {
    Out oldest = std::move(out_.front());
    out_.pop_front();
    // Acquire: what the reader did with the bytes happened before someone writes them again.
    if ((*flags_)[oldest.number].load(std::memory_order_acquire) != 0) {
      out_.push_back(std::move(oldest));
    } else {
      free_.push_back(oldest.number);
    }
  }
}

bool Borrower::take_regions(int socket) {
  for (;;) {
    RegionNotice notice{.magic = 0};
    std::array<Descriptor, 1> fd;
    switch (receive_with_fds(socket, std::as_writable_bytes(std::span(&notice, 1)), fd)) {
      case Received::kNothing:
        return true;
      case Received::kGone:
        return false;
      case Received::kPacket:
        break;
    }
    if (notice.magic != RegionNotice::kMagic || notice.region != regions_.size() + 1 ||
        notice.region > kMaxRegions || notice.bytes == 0 || notice.bytes > kMaxRegionBytes) {
      return false;
    }
    auto mapping = SharedMapping::map(std::move(fd[0]), notice.bytes, SharedMapping::Access::kRead);
    if (!mapping) return false;
    regions_.push_back(std::move(mapping));
  }
}

std::optional<Buffer> Borrower::borrow(const Loan& loan, std::uint64_t bytes) const {
  if (loan.region == 0 || loan.number >= kMaxLoans || loan.offset % kAlignment != 0)
    return std::nullopt;
  const std::shared_ptr<SharedMapping>& region = regions_[loan.region - 1];
  const std::size_t size = region->bytes().size();
  if (loan.offset > size || bytes > size - loan.offset) return std::nullopt;
  struct Borrowed {
    std::shared_ptr<SharedMapping> region;
    std::shared_ptr<SharedMapping> rings;
    std::atomic<std::uint8_t>* flag;
    ~Borrowed() { flag->store(0, std::memory_order_release); }
  };
  std::shared_ptr<Borrowed> owner(new Borrowed{region, rings_, &(*flags_)[loan.number]});
  return Buffer(std::move(owner), region->bytes().subspan(loan.offset, bytes));
}

}  // namespace ps::net
