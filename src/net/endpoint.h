// Endpoint texts ("tcp://127.0.0.1:*") and the size rule that all transports share.
#pragma once

#include <string>
#include <string_view>

#include "net/transport.h"

namespace ps::net {

// What follows "scheme://". Throws ps::Error(kInvalidArgument) when `endpoint` has another scheme
// or nothing after it.
std::string_view address_of(std::string_view endpoint, std::string_view scheme);

// "127.0.0.1" of "127.0.0.1:5555", "::1" of "[::1]:5555". Throws ps::Error(kInvalidArgument) when
// there is no port or it is neither * nor a number up to 65535.
std::string_view tcp_host_of(std::string_view address);

// True for addresses that other machines cannot reach: 127.0.0.0/8 and ::1. Names are not resolved.
bool is_loopback(std::string_view host);

bool fits(const Frames& frames, const TransportLimits& limits) noexcept;
// Throws ps::Error(kInvalidArgument) when the caller's own message is larger than its limits.
void require_fits(const Frames& frames, const TransportLimits& limits);

// Throws ps::Error(kInvalidArgument) unless link < kAcceptedBit.
void require_own_link(Link link);

}  // namespace ps::net
