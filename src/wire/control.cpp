#include "wire/control.h"

#include <cstring>
#include <utility>

#include "base/assert.h"
#include "wire/fields_json.h"
#include "wire/json_sax.h"

namespace ps::wire {
namespace {

struct ControlName {
  const char* operator()(const Join& /*message*/) const noexcept { return "join"; }
  const char* operator()(const Register& /*message*/) const noexcept { return "register"; }
  const char* operator()(const Allocated& /*message*/) const noexcept { return "allocated"; }
  const char* operator()(const Heartbeat& /*message*/) const noexcept { return "heartbeat"; }
  const char* operator()(const Collective& /*message*/) const noexcept { return "collective"; }
  const char* operator()(const LeaseRequest& /*message*/) const noexcept { return "lease_request"; }
  const char* operator()(const Leave& /*message*/) const noexcept { return "leave"; }
  const char* operator()(const Joined& /*message*/) const noexcept { return "joined"; }
  const char* operator()(const Refused& /*message*/) const noexcept { return "refused"; }
  const char* operator()(const HeartbeatAck& /*message*/) const noexcept { return "heartbeat_ack"; }
  const char* operator()(const CollectiveResult& /*message*/) const noexcept {
    return "collective_result";
  }
  const char* operator()(const LeaseGrant& /*message*/) const noexcept { return "lease_grant"; }
  const char* operator()(const RoundPart& /*message*/) const noexcept { return "round_part"; }
  const char* operator()(const RoundResult& /*message*/) const noexcept { return "round_result"; }
  const char* operator()(const View& /*message*/) const noexcept { return "view"; }
};

DecodeError malformed(std::string why) {
  return {DecodeError::Code::kControl, 0, 0, 0, std::move(why)};
}

}  // namespace

const char* control_name(const Control& control) noexcept {
  return std::visit(ControlName{}, control);
}

Buffer encode_control(const Control& control) {
  const std::vector<std::uint8_t> bytes = nlohmann::json::to_msgpack(to_json_value(control));
  PS_ASSERT(bytes.size() <= kMaxPayloadBytes, "a control message longer than a message may be");
  return Buffer::copy_of(std::as_bytes(std::span(bytes)));
}

std::variant<Control, DecodeError> decode_control(std::span<const std::byte> payload) {
  constexpr Limits kLimits{ControlLimits::kDepth, ControlLimits::kValues,
                           ControlLimits::kStringBytes};
  std::string why;
  const auto value = parse_limited(payload, Format::kMsgPack, kLimits, &why);
  if (!value) return malformed(std::move(why));
  Control control;
  JsonReader reader;
  if (!reader.read(*value, control)) return malformed(reader.why());
  if (why = problem(control); !why.empty()) return malformed(control_name(control) + (": " + why));
  return control;
}

}  // namespace ps::wire
