// Payloads that stay where they are: large ones that lie in shared memory are not copied through a
// ring but named, and the reader sees them in the writer's memory until it lets go of them. Each is
// a loan with a number; a byte in the ring's shared part says whether it is still out.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "net/shared_memory.h"

namespace ps::net {

// Below this a copy is cheaper.
inline constexpr std::size_t kMinLoanBytes = std::size_t{16} << 10;
inline constexpr std::uint32_t kMaxLoans = 2048;  // at once, per direction
// 1: the reader has it. Only the writer sets a byte, only the reader clears it; a reader that lies
// loses what it reads, nothing else.
using LoanFlags = std::array<std::atomic<std::uint8_t>, kMaxLoans>;
static_assert(std::atomic<std::uint8_t>::is_always_lock_free);

// Where a payload lies.
struct Loan {
  std::uint32_t region = 0;  // from 1 on, in the order in which they were introduced
  std::uint32_t number = 0;
  std::uint64_t offset = 0;
};

// Goes with a descriptor of the memory, before the first loan of it.
struct RegionNotice {
  std::uint32_t magic = kMagic;
  std::uint32_t region = 0;
  std::uint64_t bytes = 0;
  static constexpr std::uint32_t kMagic = 0x47525350;  // "PSRG"
};

class Lender {
 public:
  // `flags` outlives this.
  explicit Lender(LoanFlags& flags) : flags_(&flags) {}

  // Lends the payload, after introducing its memory over `socket` if it must; nothing when it is
  // small, lies elsewhere, or too much is out: it has to be copied then.
  std::optional<Loan> lend(const Buffer& payload, int socket);
  // Lets go of what has come back, a few of them a call.
  void collect();
  [[nodiscard]] std::size_t out() const noexcept { return out_.size(); }

 private:
  std::uint32_t introduce(const std::shared_ptr<SharedMapping>& mapping, int socket);

  struct Out {
    std::uint32_t number;
    Buffer payload;
  };
  LoanFlags* flags_;
  std::unordered_map<std::shared_ptr<SharedMapping>, std::uint32_t> regions_;
  std::deque<Out> out_;
  std::vector<std::uint32_t> free_;  // numbers that were out before
  std::uint32_t used_ = 0;           // numbers below this have been out
};

class Borrower {
 public:
  // `flags` is part of `rings`.
  Borrower(std::shared_ptr<SharedMapping> rings, LoanFlags& flags)
      : rings_(std::move(rings)), flags_(&flags) {}

  // Takes the regions that the peer has introduced; false when the socket is at its end or
  // something else came.
  bool take_regions(int socket);
  // Could such a loan be made, by the regions known so far?
  [[nodiscard]] bool knows(const Loan& loan) const noexcept {
    return loan.region <= regions_.size();
  }
  // The payload where it lies; it goes back with its last Buffer, on whatever thread. Nothing when
  // the peer names what there is not. REQUIRES: knows(loan).
  std::optional<Buffer> borrow(const Loan& loan, std::uint64_t bytes) const;

 private:
  std::shared_ptr<SharedMapping> rings_;
  LoanFlags* flags_;
  std::vector<std::shared_ptr<SharedMapping>> regions_;
};

}  // namespace ps::net
