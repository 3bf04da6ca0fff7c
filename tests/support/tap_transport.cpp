#include "support/tap_transport.h"

#include <cstdio>
#include <variant>

#include "base/crc32c.h"
#include "cluster/agent.h"
#include "wire/control.h"
#include "wire/header.h"

namespace ps::sim {

bool TapTransport::receive(net::Link& from, net::Frames& frames) {
  if (!inner_->receive(from, frames)) return false;
  ++trace_.messages;
  trace_.mix(static_cast<std::uint64_t>(clock_.now().time_since_epoch().count()));
  for (const char letter : name_) trace_.mix(static_cast<unsigned char>(letter));
  trace_.mix(from);
  trace_.mix(crc32c(frames.header.bytes()));
  trace_.mix(crc32c(frames.payload.bytes()));
  if (verbose_) print(from, frames);
  return true;
}

void TapTransport::print(net::Link from, const net::Frames& frames) const {
  const double now = seconds(clock_.now().time_since_epoch());
  const auto decoded = wire::decode(frames.header.bytes(), frames.payload);
  if (const auto* error = std::get_if<wire::DecodeError>(&decoded)) {
    std::fprintf(stderr, "%10.6f %s: %s\n", now, name_.c_str(), wire::to_string(*error).c_str());
    return;
  }
  const auto& message = std::get<wire::Message>(decoded);
  const wire::Header& header = message.header;
  std::string what = wire::to_string(header.type);
  if (header.type == wire::Type::kControl) {
    const auto control = wire::decode_control(message.payload.bytes());
    if (const auto* known = std::get_if<wire::Control>(&control)) what = wire::control_name(*known);
  }
  if (header.type == wire::Type::kReply) what += std::string(" ") + wire::to_string(header.status);
  std::fprintf(
      stderr,
      "%10.6f %s <- %s (life %u, link %llx): %s seq %llu clock %llu flags %u, %zu segments\n", now,
      name_.c_str(), cluster::name_of(header.sender).c_str(), header.incarnation,
      static_cast<unsigned long long>(from), what.c_str(),
      static_cast<unsigned long long>(header.sequence),
      static_cast<unsigned long long>(header.clock), header.flags, message.segments.size());
}

}  // namespace ps::sim
