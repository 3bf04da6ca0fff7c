#include "net/shm_channel.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

namespace ps::net {
namespace {

constexpr std::size_t kControlBytes = 4096;  // per ring, so that the data starts on a page
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;  // so that reader and writer overlap
constexpr std::uint64_t kMinRingBytes = 4096;
constexpr std::uint64_t kMaxRingBytes = std::uint64_t{1} << 30;
constexpr std::size_t kFlagsAt = 1024;  // within those
static_assert(sizeof(RingControl) <= kFlagsAt && kFlagsAt + sizeof(LoanFlags) <= kControlBytes);

constexpr std::size_t mapping_bytes(std::size_t ring_bytes) {
  return 2 * (kControlBytes + ring_bytes);
}

// Ring 0 carries what the connecting side sends, ring 1 what the accepting side sends.
RingControl& control_of(const SharedMapping& mapping, std::size_t ring) {
  std::byte* const at = mapping.bytes().data() + ring * (mapping.bytes().size() / 2);
  return *std::launder(reinterpret_cast<RingControl*>(at));
}

// What goes with the messages of that ring. All bits 0 is the state at the start.
LoanFlags& flags_of(const SharedMapping& mapping, std::size_t ring) {
  std::byte* const at = mapping.bytes().data() + ring * (mapping.bytes().size() / 2) + kFlagsAt;
  return *std::launder(reinterpret_cast<LoanFlags*>(at));
}

std::span<std::byte> data_of(const SharedMapping& mapping, std::size_t ring) {
  const std::size_t half = mapping.bytes().size() / 2;
  return mapping.bytes().subspan(ring * half + kControlBytes, half - kControlBytes);
}

Descriptor make_doorbell() {
  return Descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

// An anonymous descriptor (an eventfd has no file type) that never makes its user wait: a peer may
// have passed anything.
bool use_as_doorbell(int fd) {
  struct ::stat info {};
  return ::fstat(fd, &info) == 0 && (info.st_mode & S_IFMT) == 0 &&
         ::fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

// Memory for a message: not zeroed, because every byte is about to be written.
Memory memory_for(std::size_t bytes) {
  if (bytes == 0) return {};
  constexpr std::align_val_t kAlignment{64};
  auto* const data = static_cast<std::byte*>(::operator new(bytes, kAlignment));
  std::shared_ptr<void> owner(data, [](void* at) { ::operator delete(at, kAlignment); });
  return {std::move(owner), {data, bytes}};
}

}  // namespace

ShmChannel::ShmChannel(const std::shared_ptr<SharedMapping>& mapping,
                       bool connects,
                       Descriptor socket,
                       const TransportLimits& limits)
    : mapping_(mapping),
      limits_(limits),
      writer_(control_of(*mapping_, connects ? 0 : 1), data_of(*mapping_, connects ? 0 : 1)),
      reader_(control_of(*mapping_, connects ? 1 : 0), data_of(*mapping_, connects ? 1 : 0)),
      lender_(flags_of(*mapping_, connects ? 0 : 1)),
      borrower_(mapping, flags_of(*mapping_, connects ? 1 : 0)),
      socket_(std::move(socket)) {}

std::unique_ptr<ShmChannel> ShmChannel::open(Descriptor socket,
                                             std::size_t ring_bytes,
                                             const TransportLimits& limits) {
  PS_ASSERT(std::has_single_bit(ring_bytes), "a ring's size is a power of two");
  auto mapping = SharedMapping::create(mapping_bytes(ring_bytes));
  Descriptor own = make_doorbell();
  Descriptor peer = make_doorbell();
  if (!mapping || !own || !peer) return nullptr;
  for (const std::size_t ring : {std::size_t{0}, std::size_t{1}}) {
    auto* const control = new (&control_of(*mapping, ring)) RingControl{};
    control->reader_waits.store(1, std::memory_order_relaxed);  // so the first write wakes it
  }
  const ShmHello hello{.ring_bytes = ring_bytes};
  const std::array<int, kHelloFds> fds{mapping->fd(), peer.get(), own.get()};
  if (!send_with_fds(socket.get(), std::as_bytes(std::span(&hello, 1)), fds)) return nullptr;
  std::unique_ptr<ShmChannel> channel(new ShmChannel(mapping, true, std::move(socket), limits));
  channel->own_doorbell_ = std::move(own);
  channel->peer_doorbell_ = std::move(peer);
  return channel;
}

std::unique_ptr<ShmChannel> ShmChannel::accept(const ShmHello& hello,
                                               std::array<Descriptor, kHelloFds> fds,
                                               Descriptor socket,
                                               const TransportLimits& limits) {
  if (hello.magic != ShmHello::kMagic || hello.version != ShmHello{}.version ||
      !std::has_single_bit(hello.ring_bytes) || hello.ring_bytes < kMinRingBytes ||
      hello.ring_bytes > kMaxRingBytes) {
    return nullptr;
  }
  if (!use_as_doorbell(fds[1].get()) || !use_as_doorbell(fds[2].get())) return nullptr;
  auto mapping = SharedMapping::map(std::move(fds[0]), mapping_bytes(hello.ring_bytes),
                                    SharedMapping::Access::kWrite);
  if (!mapping) return nullptr;
  std::unique_ptr<ShmChannel> channel(new ShmChannel(mapping, false, std::move(socket), limits));
  channel->own_doorbell_ = std::move(fds[1]);
  channel->peer_doorbell_ = std::move(fds[2]);
  return channel;
}

void ShmChannel::ring_peer() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(peer_doorbell_.get(), &one, sizeof one);
}

void ShmChannel::wake_reader() noexcept {
  if (writer_.take_reader_waits()) ring_peer();
}

void ShmChannel::clear_doorbell() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto read = ::read(own_doorbell_.get(), &count, sizeof count);
}

bool ShmChannel::send(const Frames& frames) {
  PS_DCHECK(!full(), "the caller asks first");
  lender_.collect();
  queue_.push_back(frames);
  return queue_.size() > 1 || flush();  // behind others: the doorbell says when there is room
}

std::span<const std::byte> ShmChannel::unsent() const {
  const Frames& frames = queue_.front();
  const bool lent = sending_prefix_.loan.region != 0;
  const std::array<std::span<const std::byte>, 3> parts{
      std::as_bytes(std::span(&sending_prefix_, 1)), frames.header.bytes(),
      lent ? std::span<const std::byte>() : frames.payload.bytes()};
  return parts[sent_.part].subspan(sent_.done);
}

void ShmChannel::start_sending() {
  started_ = true;
  const Frames& frames = queue_.front();
  sending_prefix_.header_bytes = static_cast<std::uint32_t>(frames.header.size());
  sending_prefix_.payload_bytes = frames.payload.size();
  sending_prefix_.loan = lender_.lend(frames.payload, socket_.get()).value_or(Loan{});
}

// The reader is woken when a message is complete, when a piece of a large one is there, and when
// the ring is full; not for a prefix alone.
bool ShmChannel::flush() {
  while (!queue_.empty()) {
    if (!started_) start_sending();
    const std::span<const std::byte> rest = unsent();
    if (rest.empty() && sent_.part < 2) {
      sent_ = {sent_.part + 1, 0};
      continue;
    }
    if (rest.empty()) {
      queue_.pop_front();
      sent_ = {};
      started_ = false;
      wake_reader();
      continue;
    }
    const auto count = writer_.write(rest.first(std::min(rest.size(), kPieceBytes)));
    if (!count) return false;
    sent_.done += *count;
    if (*count == kPieceBytes || *count == 0) wake_reader();
    if (*count == 0 && writer_.wait_for_room()) return true;
  }
  return true;
}

std::span<std::byte> ShmChannel::unread() {
  const std::array<std::span<std::byte>, 3> parts{std::as_writable_bytes(std::span(&prefix_, 1)),
                                                  header_.bytes(), payload_.bytes()};
  return parts[received_.part].subspan(received_.done);
}

bool ShmChannel::start_message() {
  if (prefix_.magic != Prefix::kMagic || prefix_.header_bytes > limits_.max_header_bytes ||
      prefix_.payload_bytes > limits_.max_payload_bytes) {
    return false;
  }
  header_ = memory_for(prefix_.header_bytes);
  if (prefix_.loan.region == 0) {
    payload_ = memory_for(prefix_.payload_bytes);
    return true;
  }
  // Its memory was introduced before, on the socket.
  if (!borrower_.knows(prefix_.loan) && (socket_.get() < 0 || !hears())) return false;
  if (!borrower_.knows(prefix_.loan)) return false;
  const auto borrowed = borrower_.borrow(prefix_.loan, prefix_.payload_bytes);
  if (!borrowed) return false;
  borrowed_ = *borrowed;
  return true;
}

ShmChannel::Read ShmChannel::read(Frames& frames) {
  lender_.collect();
  for (;;) {
    std::span<std::byte> rest = unread();
    if (rest.empty()) {
      if (received_.part == 0 && !start_message()) return Read::kBroken;
      received_ = {received_.part + 1, 0};
      if (received_.part < 3) continue;
      frames = {header_.buffer(), prefix_.loan.region != 0 ? borrowed_ : payload_.buffer()};
      borrowed_ = {};
      header_ = {};
      payload_ = {};
      received_ = {};
      return Read::kMessage;
    }
    const auto count = reader_.read(rest.first(std::min(rest.size(), kPieceBytes)));
    if (!count) return Read::kBroken;
    received_.done += *count;
    if (*count > 0) {
      if (reader_.take_writer_waits()) ring_peer();
    } else if (reader_.wait_for_data()) {
      return Read::kNothing;
    }
  }
}

}  // namespace ps::net
