#include "shared_memory.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <elf.h>
#include <fstream>
#include <link.h>
#include <string_view>
#include <utility>

namespace cuda_host {
namespace {

constexpr std::size_t kLineBytes = 64;

// Where the program lies, over the addresses that its file has.
std::uintptr_t load_bias() {
  std::uintptr_t bias = 0;
  const auto first = [](dl_phdr_info* program, std::size_t /*size*/, void* result) {
    *static_cast<std::uintptr_t*>(result) = program->dlpi_addr;
    return 1;
  };
  dl_iterate_phdr(first, &bias);
  return bias;
}

template <class T>
std::vector<T> read_at(std::ifstream& file, std::size_t offset, std::size_t count) {
  std::vector<T> items(count);
  file.seekg(static_cast<std::streamoff>(offset));
  file.read(reinterpret_cast<char*>(items.data()), static_cast<std::streamsize>(count * sizeof(T)));
  if (!file) {
    std::fputs("the emulated GPU cannot read this program's file\n", stderr);
    std::abort();
  }
  return items;
}

// Addresses and sizes of the program's sections that hold what __shared__ declares. (Its linker
// defines symbols for the bounds of sections without a dot only.)
std::vector<std::pair<std::uintptr_t, std::size_t>> shared_sections() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const auto header = read_at<ElfW(Ehdr)>(file, 0, 1)[0];
  const auto sections = read_at<ElfW(Shdr)>(file, header.e_shoff, header.e_shnum);
  const auto& table = sections[header.e_shstrndx];
  const auto names = read_at<char>(file, table.sh_offset, table.sh_size);
  std::vector<std::pair<std::uintptr_t, std::size_t>> found;
  for (const ElfW(Shdr) & section : sections) {
    if (std::string_view(&names[section.sh_name]).starts_with(".noinit")) {
      found.emplace_back(load_bias() + section.sh_addr, section.sh_size);
    }
  }
  return found;
}

std::uint64_t word_of(unsigned char pattern) {
  return 0x0101010101010101U * pattern;
}

}  // namespace

StaticShared::StaticShared() {
  for (const auto& [address, size] : shared_sections()) {
    auto* first = reinterpret_cast<std::byte*>(address);
    for (std::size_t at = 0; at < size; at += kLineBytes) {
      lines_.push_back({first + at, std::min(kLineBytes, size - at)});
    }
  }
}

void StaticShared::set_pattern(unsigned char pattern) {
  clean_ = clean_ && pattern == pattern_;
  pattern_ = pattern;
}

// AddressSanitizer knows the variables and would object to what lies between them.
__attribute__((no_sanitize("address", "undefined", "thread"))) void StaticShared::fill(
    const Line& line) const {
  volatile std::byte* at = line.at;
  if (line.bytes < kLineBytes) {
    for (std::size_t i = 0; i < line.bytes; ++i) at[i] = std::byte{pattern_};
    return;
  }
  using Word [[gnu::aligned(1), gnu::may_alias]] = std::uint64_t;
  auto* words = reinterpret_cast<volatile Word*>(at);
  const std::uint64_t pattern = word_of(pattern_);
  for (std::size_t i = 0; i < kLineBytes / sizeof(Word); ++i) words[i] = pattern;
}

__attribute__((no_sanitize("address", "undefined", "thread"))) bool StaticShared::is_clean(
    const Line& line) const {
  if (line.bytes < kLineBytes) {
    const volatile std::byte* at = line.at;
    for (std::size_t i = 0; i < line.bytes; ++i) {
      if (at[i] != std::byte{pattern_}) return false;
    }
    return true;
  }
  using Word [[gnu::aligned(1), gnu::may_alias]] = std::uint64_t;
  const auto* words = reinterpret_cast<const volatile Word*>(line.at);
  const std::uint64_t pattern = word_of(pattern_);
  std::uint64_t difference = 0;
  for (std::size_t i = 0; i < kLineBytes / sizeof(Word); ++i) difference |= words[i] ^ pattern;
  return difference == 0;
}

void StaticShared::begin(const void* kernel) {
  if (!clean_) {
    for (const Line& line : lines_) fill(line);
  }
  clean_ = true;
  of_kernel_ = &written_[kernel];
}

void StaticShared::block_done(std::uint64_t block, std::uint64_t blocks) {
  for (const std::size_t line : *of_kernel_) fill(lines_[line]);
  if (block + 1 != blocks && block != 0 && !std::has_single_bit(block)) return;
  for (std::size_t line = 0; line < lines_.size(); ++line) {
    if (is_clean(lines_[line])) continue;
    of_kernel_->push_back(line);
    fill(lines_[line]);
  }
}

}  // namespace cuda_host
