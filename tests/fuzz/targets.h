// What the fuzzers run, and the tests replay: each target feeds a decoder with any bytes at all and
// asserts what must hold of whatever comes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace ps::fuzz {

// Two frames: u16 (little-endian), then the header frame, then the payload. The number's low 15
// bits are the frame's length; its highest bit asks for checksums that fit, or no mutation would
// get beyond them.
void header(std::span<const std::byte> input);

// The payload of a control message.
void control(std::span<const std::byte> input);

// A byte whose lowest bit chooses the format (0: MessagePack, 1: JSON text), then the document.
void json(std::span<const std::byte> input);

// A compressed gradient: a byte that chooses the codec, u16 (little-endian) values less one, then
// the bytes.
void decode(std::span<const std::byte> input);

struct Target {
  const char* name;  // of its folder in corpus/
  void (*run)(std::span<const std::byte>);
};
inline constexpr Target kTargets[] = {
    {"header", header}, {"control", control}, {"json", json}, {"decode", decode}};

// Inputs to start from, by file name: real messages, and hostile ones. corpus/ holds them and what
// fuzzing has found beyond them; the hidden test "fuzz: write the seeds" writes them anew.
using Seeds = std::map<std::string, std::vector<std::byte>>;
Seeds seeds(const std::string& target);

}  // namespace ps::fuzz
