#include "net/endpoint.h"

#include <arpa/inet.h>
#include <charconv>
#include <netinet/in.h>

#include <ps/error.h>

namespace ps::net {

std::string_view address_of(std::string_view endpoint, std::string_view scheme) {
  const std::string prefix = std::string(scheme) + "://";
  if (!endpoint.starts_with(prefix) || endpoint.size() == prefix.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                "expected an endpoint " + prefix + "..., got \"" + std::string(endpoint) + "\"");
  }
  return endpoint.substr(prefix.size());
}

std::string_view tcp_host_of(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  const auto malformed = [&](const char* what) {
    return Error(ErrorCode::kInvalidArgument,
                 std::string(what) + " in \"tcp://" + std::string(address) +
                     "\"; expected tcp://host:port, where the port may be * to bind any free one");
  };
  if (colon == std::string_view::npos || colon == 0) throw malformed("no host or no port");
  const std::string_view port = address.substr(colon + 1);
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  const bool is_number =
      error == std::errc() && end == port.data() + port.size() && number <= 65535;
  if (port != "*" && !is_number) throw malformed("bad port");
  std::string_view host = address.substr(0, colon);
  if (host.front() == '[') {
    if (host.back() != ']' || host.size() < 3) throw malformed("bad IPv6 address");
    host = host.substr(1, host.size() - 2);
  }
  return host;
}

bool is_loopback(std::string_view host) {
  const std::string text(host);
  ::in_addr v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  ::in6_addr v6{};
  return ::inet_pton(AF_INET6, text.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool fits(const Frames& frames, const TransportLimits& limits) noexcept {
  return frames.header.size() <= limits.max_header_bytes &&
         frames.payload.size() <= limits.max_payload_bytes;
}

void require_fits(const Frames& frames, const TransportLimits& limits) {
  if (fits(frames, limits)) return;
  throw Error(ErrorCode::kInvalidArgument, "a message of " + std::to_string(frames.header.size()) +
                                               " + " + std::to_string(frames.payload.size()) +
                                               " bytes is larger than this transport's " +
                                               std::to_string(limits.max_header_bytes) + " + " +
                                               std::to_string(limits.max_payload_bytes) +
                                               "; send less or raise the limit");
}

void require_own_link(Link link) {
  if (link < kAcceptedBit) return;
  throw Error(ErrorCode::kInvalidArgument,
              "links with the top bit set belong to peers; open yours with a smaller number");
}

}  // namespace ps::net
