// Messages that tests, fuzzers and docs/protocol.md share: fixed ones with known bytes, random
// valid ones, and one of every control message with its fields as JSON.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "wire/control.h"
#include "wire/header.h"

namespace ps::wire::samples {

using Bytes = std::vector<std::byte>;

// "0f a0" -> two bytes; spaces are skipped.
Bytes from_hex(std::string_view hex);
std::string to_hex(std::span<const std::byte> bytes);
Buffer floats(const std::vector<float>& values);

// The worked example of docs/protocol.md.
Message push();       // two segments; encoded with a payload checksum
Message reply();      // one segment; without
Message heartbeat();  // a control message; without

// An assign of three parts of one chunk.
Message restoring();

// A valid message of any type.
Message random_message(Random& random);

// Makes the header's checksum fit again after a test has changed the frame; the payload's too when
// its flag is set. Frames too short for a header stay as they are.
void sign(std::span<std::byte> frame, std::span<const std::byte> payload);

struct ControlSample {
  Control control;
  const char* json;  // what its payload must hold, field by field
};

// Every control message, each field with a value of its own; every variant and enumerator occurs.
std::vector<ControlSample> control_samples();

Register registration();
View view();

}  // namespace ps::wire::samples
