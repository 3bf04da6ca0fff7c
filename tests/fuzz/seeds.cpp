#include <nlohmann/json.hpp>

#include "fuzz/targets.h"
#include "wire/samples.h"

namespace ps::fuzz {
namespace {

using wire::Message;
using Bytes = std::vector<std::byte>;
namespace samples = wire::samples;

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Bytes joined(Bytes first, std::span<const std::byte> second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Bytes framed(std::span<const std::byte> frame, std::span<const std::byte> payload, bool sign) {
  const std::size_t number = frame.size() | (sign ? 0x8000 : 0);
  const Bytes length{static_cast<std::byte>(number), static_cast<std::byte>(number >> 8)};
  return joined(joined(length, frame), payload);
}

Bytes framed(const Message& message, bool checksum, bool sign) {
  return framed(wire::encode_header(message, checksum), message.payload.bytes(), sign);
}

Message pull() {
  Message message = samples::push();
  message.header.type = wire::Type::kPull;
  message.header.weight = 0;
  for (wire::Segment& segment : message.segments) segment.bytes = 0;
  message.payload = {};
  return message;
}

Message refusal() {
  Message message = samples::reply();
  message.header.status = wire::Status::kRefused;
  message.segments.clear();
  message.payload = Buffer::copy_of(bytes_of("parameter 9 is not of this model"));
  return message;
}

Seeds header_seeds() {
  Seeds seeds{
      {"push", framed(samples::push(), true, true)},
      {"push_unsigned", framed(samples::push(), true, false)},
      {"pull", framed(pull(), false, true)},
      {"restoring", framed(samples::restoring(), true, true)},
      {"reply", framed(samples::reply(), false, true)},
      {"reply_refused", framed(refusal(), true, true)},
      {"control", framed(samples::heartbeat(), false, true)},
      {"empty", framed({}, {}, false)},
  };
  Bytes frame = wire::encode_header(samples::push(), false);
  frame[4] = std::byte{2};
  seeds["other_major"] = framed(frame, {}, true);
  frame[4] = std::byte{1};
  for (std::size_t i = 80; i < 84; ++i) frame[i] = std::byte{0xFF};
  seeds["huge_count"] = framed(frame, {}, true);
  frame = wire::encode_header(samples::push(), false);
  for (std::size_t i = 104; i < 112; ++i) frame[i] = std::byte{0xFF};
  seeds["huge_offset"] = framed(frame, samples::push().payload.bytes(), true);
  return seeds;
}

Bytes nested(const char* level, std::size_t times) {
  Bytes bytes;
  for (std::size_t i = 0; i < times; ++i) bytes = joined(bytes, samples::from_hex(level));
  return bytes;
}

Seeds control_seeds() {
  Seeds seeds{
      {"nested_arrays", nested("91", 64)},
      {"nested_maps", nested("81 a4 6b 69 6e 64", 16)},
      {"huge_array", samples::from_hex("dd ff ff ff ff")},
      {"huge_map", samples::from_hex("df ff ff ff ff")},
      {"huge_string", samples::from_hex("db ff ff ff ff 61")},
      {"binary", samples::from_hex("81 a4 6b 69 6e 64 c4 01 00")},
      {"not_utf8", samples::from_hex("81 a4 6b 69 6e 64 a2 c3 28")},
  };
  for (const auto& sample : samples::control_samples()) {
    const Buffer payload = wire::encode_control(sample.control);
    seeds[wire::control_name(sample.control)] =
        Bytes(payload.bytes().begin(), payload.bytes().end());
  }
  return seeds;
}

Seeds json_seeds() {
  constexpr std::string_view kText =
      R"({"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "x": [1.5e-3, true, null]})";
  const auto packed = nlohmann::json::to_msgpack(nlohmann::json::parse(kText));
  Seeds seeds{
      {"text", joined({std::byte{1}}, bytes_of(kText))},
      {"msgpack", joined({std::byte{0}}, std::as_bytes(std::span(packed)))},
      {"text_escapes", joined({std::byte{1}}, bytes_of("\"\\u00e9\\ud83d\\ude00\\n\xC3\xA9\""))},
      {"text_nested", joined({std::byte{1}}, bytes_of(std::string(64, '[')))},
      {"text_numbers", joined({std::byte{1}}, bytes_of("[-0, 1e308, 18446744073709551616, 1E-9]"))},
      {"text_twice", joined({std::byte{1}}, bytes_of(R"({"a": 1, "a": 2})"))},
      {"msgpack_nan", joined({std::byte{0}}, samples::from_hex("cb 7f f8 00 00 00 00 00 01"))},
      {"msgpack_nested", joined({std::byte{0}}, nested("91", 64))},
      {"msgpack_numbers",
       joined({std::byte{0}},
              samples::from_hex("96 ff d3 80 00 00 00 00 00 00 00 cf ff ff ff ff ff "
                                "ff ff ff ca 7f 80 00 00 cc ff d0 80"))},
  };
  return seeds;
}

// Of a codec (fp16 0, bf16, int8, top-k, signs 4) and so many values.
Bytes compressed(std::uint8_t codec, std::uint16_t count, std::string_view hex) {
  const unsigned less = count - 1U;
  return joined({std::byte{codec}, static_cast<std::byte>(less), static_cast<std::byte>(less >> 8)},
                samples::from_hex(hex));
}

Seeds decode_seeds() {
  return {{"fp16", compressed(0, 3, "00 3c 00 c0 00 7c")},
          {"bf16", compressed(1, 2, "80 3f 80 7f")},
          {"int8", compressed(2, 3, "00 00 80 3f 01 ff 7f")},
          {"int8_nan", compressed(2, 3, "00 00 c0 7f 00 00 00")},
          {"int8_huge_scale", compressed(2, 1, "ff ff 7f 7f 7f")},
          {"topk", compressed(3, 9, "01 00 00 00 08 00 00 00 00 00 80 3f 00 00 80 bf")},
          {"topk_index", compressed(3, 8, "08 00 00 00 00 00 80 3f")},
          {"topk_twice", compressed(3, 9, "01 00 00 00 01 00 00 00 00 00 80 3f 00 00 80 3f")},
          {"sign", compressed(4, 9, "00 00 80 3f 55 01")},
          {"sign_negative_scale", compressed(4, 9, "00 00 80 bf 55 01")},
          {"short", compressed(0, 3, "00 3c 00")}};
}

}  // namespace

Seeds seeds(const std::string& target) {
  if (target == "header") return header_seeds();
  if (target == "control") return control_seeds();
  if (target == "decode") return decode_seeds();
  return json_seeds();
}

}  // namespace ps::fuzz
