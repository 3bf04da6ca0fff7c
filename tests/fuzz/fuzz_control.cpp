#include <algorithm>

#include "base/assert.h"
#include "fuzz/targets.h"
#include "wire/control.h"
#include "wire/json_sax.h"

namespace ps::fuzz {
namespace {

void check_control(const wire::Control& control) {
  PS_ASSERT(wire::problem(control).empty(), "decoded in spite of a problem");
  const Buffer once = wire::encode_control(control);
  const auto again = wire::decode_control(once.bytes());
  const auto* same = std::get_if<wire::Control>(&again);
  PS_ASSERT(same != nullptr, "decoded, but not what it encodes to");
  const Buffer twice = wire::encode_control(*same);
  PS_ASSERT(std::ranges::equal(once.bytes(), twice.bytes()), "changed by a round trip");

  if (const auto* registration = std::get_if<wire::Register>(&control)) {
    const auto& copy = std::get<wire::Register>(*same);
    PS_ASSERT(wire::difference(*registration, copy).empty(), "differs from itself");
    PS_ASSERT(wire::fingerprint(*registration) == wire::fingerprint(copy), "differs from itself");
    const wire::Register other{.name = registration->name};
    const bool equal = wire::fingerprint(*registration) == wire::fingerprint(other);
    PS_ASSERT(wire::difference(*registration, other).empty() == equal, "no words for a difference");
  }
}

}  // namespace

void control(std::span<const std::byte> input) {
  const std::vector<std::byte> payload(input.begin(), input.end());
  const auto result = wire::decode_control(payload);
  if (const auto* control = std::get_if<wire::Control>(&result)) return check_control(*control);
  const auto& error = std::get<wire::DecodeError>(result);
  PS_ASSERT(!error.detail.empty(), "refused without a reason");
  PS_ASSERT(wire::is_utf8(wire::to_string(error)), "an error that cannot be printed");
}

}  // namespace ps::fuzz
