#include "net/shm_ring.h"

#include <algorithm>
#include <cstring>

namespace ps::net {

std::optional<std::size_t> RingWriter::write(std::span<const std::byte> bytes) noexcept {
  const std::uint64_t used = written_ - control_->read.load(std::memory_order_acquire);
  if (used > data_.size()) return std::nullopt;
  const std::size_t count = std::min<std::size_t>(bytes.size(), data_.size() - used);
  if (count == 0) return 0;
  const std::size_t at = written_ & (data_.size() - 1);
  const std::size_t first = std::min(count, data_.size() - at);
  std::memcpy(data_.data() + at, bytes.data(), first);
  if (count > first) std::memcpy(data_.data(), bytes.data() + first, count - first);
  written_ += count;
  control_->written.store(written_, std::memory_order_seq_cst);
  return count;
}

bool RingWriter::take_reader_waits() noexcept {
  return control_->reader_waits.load(std::memory_order_seq_cst) != 0 &&
         control_->reader_waits.exchange(0, std::memory_order_seq_cst) != 0;
}

bool RingWriter::wait_for_room() noexcept {
  control_->writer_waits.store(1, std::memory_order_seq_cst);
  return written_ - control_->read.load(std::memory_order_seq_cst) == data_.size();
}

std::optional<std::size_t> RingReader::read(std::span<std::byte> bytes) noexcept {
  seen_written_ = control_->written.load(std::memory_order_acquire);
  const std::uint64_t available = seen_written_ - read_;
  if (available > data_.size()) return std::nullopt;
  const std::size_t count = std::min<std::size_t>(bytes.size(), available);
  if (count == 0) return 0;
  const std::size_t at = read_ & (data_.size() - 1);
  const std::size_t first = std::min(count, data_.size() - at);
  std::memcpy(bytes.data(), data_.data() + at, first);
  if (count > first) std::memcpy(bytes.data() + first, data_.data(), count - first);
  read_ += count;
  control_->read.store(read_, std::memory_order_seq_cst);
  return count;
}

bool RingReader::take_writer_waits() noexcept {
  const std::uint64_t used = seen_written_ - read_;
  if (used > data_.size() - data_.size() / 4) return false;  // a quarter is free, or wait for it
  return control_->writer_waits.load(std::memory_order_seq_cst) != 0 &&
         control_->writer_waits.exchange(0, std::memory_order_seq_cst) != 0;
}

bool RingReader::wait_for_data() noexcept {
  control_->reader_waits.store(1, std::memory_order_seq_cst);
  return control_->written.load(std::memory_order_seq_cst) == read_;
}

}  // namespace ps::net
