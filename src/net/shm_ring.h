// A byte ring in memory that two processes share: one writes, one reads, neither waits. The peer
// may write anything anywhere in that memory at any time, so each side keeps its own position
// privately, reads the other's once per call and checks it, and copies bytes out before anyone
// looks at them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace ps::net {

// The shared part. Positions count bytes since the start and never wrap.
struct RingControl {
  alignas(64) std::atomic<std::uint64_t> written;
  alignas(64) std::atomic<std::uint64_t> read;
  alignas(64) std::atomic<std::uint32_t> reader_waits;  // wants a doorbell when there is data
  std::atomic<std::uint32_t> writer_waits;              // wants a doorbell when there is room
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

// INVARIANT against lost wake-ups: a side first says that it waits, then looks once more; the other
// first moves its position, then looks whether someone waits. All four are seq_cst, so at least one
// of them sees the other.

class RingWriter {
 public:
  // REQUIRES: data.size() is a power of two; `control` and `data` outlive this.
  RingWriter(RingControl& control, std::span<std::byte> data) noexcept
      : control_(&control), data_(data) {}

  // How many of `bytes` went in, maybe 0. Nothing when the reader's position makes no sense.
  std::optional<std::size_t> write(std::span<const std::byte> bytes) noexcept;
  // True when the reader has to be woken; it is then up to the caller.
  [[nodiscard]] bool take_reader_waits() noexcept;
  // Says that this side waits for room. False when there is some: write again instead.
  [[nodiscard]] bool wait_for_room() noexcept;

 private:
  RingControl* control_;
  std::span<std::byte> data_;
  std::uint64_t written_ = 0;
};

class RingReader {
 public:
  RingReader(RingControl& control, std::span<const std::byte> data) noexcept
      : control_(&control), data_(data) {}

  // How many bytes came out into `bytes`, maybe 0. Nothing when the writer's position makes no
  // sense.
  std::optional<std::size_t> read(std::span<std::byte> bytes) noexcept;
  // True when the writer has to be woken: it waits, and enough has been freed to be worth it.
  [[nodiscard]] bool take_writer_waits() noexcept;
  // Says that this side waits for data. False when there is some: read again instead.
  [[nodiscard]] bool wait_for_data() noexcept;

 private:
  RingControl* control_;
  std::span<const std::byte> data_;
  std::uint64_t read_ = 0;
  std::uint64_t seen_written_ = 0;
};

}  // namespace ps::net
