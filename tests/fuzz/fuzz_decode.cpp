#include <cmath>

#include "base/assert.h"
#include "fuzz/targets.h"
#include "server/decode.h"

namespace ps::fuzz {

void decode(std::span<const std::byte> input) {
  if (input.size() < 3) return;
  const auto codec = static_cast<wire::Codec>(2 + std::to_integer<unsigned>(input[0]) % 5);
  const std::uint32_t count = 1 + (std::to_integer<std::uint32_t>(input[1]) |
                                   std::to_integer<std::uint32_t>(input[2]) << 8);
  input = input.subspan(3);
  wire::Message message;
  message.header.type = wire::Type::kPush;
  message.segments = {
      {.codec = codec, .count = count, .bytes = static_cast<std::uint32_t>(input.size())}};
  message.payload = Buffer::copy_of(input);  // on the heap, for AddressSanitizer
  BlockPool pool;
  const std::string fault = server::decode(message, {.push = Compression::Push::kFp16}, pool);
  if (!fault.empty()) {
    PS_ASSERT(message.payload.size() == input.size(), "a refused message that was changed");
    return;
  }
  PS_ASSERT(wire::can_take(codec, count, input.size()) || input.empty(),
            "decoded, but not of a size that the wire lets in");
  PS_ASSERT(message.payload.size() == count * sizeof(float), "not one value for each");
}

}  // namespace ps::fuzz
