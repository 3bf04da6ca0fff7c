// Names and sentences of the data plane, for logs and errors.
#include <bit>
#include <cstdio>

#include "wire/header.h"

namespace ps::wire {
namespace {

std::string hex(std::uint64_t value) {
  std::array<char, 19> text{};
  std::snprintf(text.data(), text.size(), "0x%08llx", static_cast<unsigned long long>(value));
  return text.data();
}

std::string expected_and_got(const std::string& expected, const std::string& got) {
  return expected + " expected, " + got + " came";
}

}  // namespace

std::string to_string(const DecodeError& error) {
  const std::string offset = " (byte " + std::to_string(error.offset) + ")";
  const std::string expected = std::to_string(error.expected);
  const std::string got = std::to_string(error.got);
  const std::string counts = expected_and_got(expected, got);
  const std::string bits = expected_and_got(hex(error.expected), hex(error.got));
  using Code = DecodeError::Code;
  switch (error.code) {
    case Code::kTruncated:
      return "truncated header: " + expected_and_got("at least " + expected + " bytes", got);
    case Code::kMagic:
      return "not a message of ps: magic " + bits;
    case Code::kVersion:
      return "protocol version " + counts +
             ": run every process of the job with the same major version of ps";
    case Code::kChecksum:
      return "header damaged: checksum " + bits;
    case Code::kType:
      return "message type " + got + " is not known" + offset;
    case Code::kSender:
      return "sender role " + got + " is not known" + offset;
    case Code::kSegmentCount:
      return "segment table does not fit its frame: " +
             expected_and_got(expected + " bytes of header and table", got);
    case Code::kPayloadLength:
      return "payload length: " + expected_and_got(expected + " bytes", got);
    case Code::kPayloadChecksum:
      return "payload damaged: checksum " + bits;
    case Code::kSegment:
      return "segment table: " + counts + offset;
    case Code::kControl:
      return "control message: " + (error.detail.empty() ? "malformed" : error.detail);
    case Code::kStatus:
      return "status " + got + " is not known" + offset;
    case Code::kWeight:
      return "weight: a finite number >= 0 expected, " +
             std::to_string(std::bit_cast<double>(error.got)) + " came" + offset;
  }
  return "unknown decode error";
}

const char* to_string(Status status) noexcept {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kWorking:
      return "working";
    case Status::kUnknown:
      return "unknown";
    case Status::kNotReady:
      return "not ready";
    case Status::kNonfinite:
      return "non-finite";
    case Status::kLate:
      return "late";
    case Status::kFenced:
      return "fenced";
    case Status::kRefused:
      return "refused";
    case Status::kBusy:
      return "busy";
    case Status::kStale:
      return "stale";
    case Status::kSkipped:
      return "skipped";
  }
  return "status without a name";
}

const char* to_string(Type type) noexcept {
  switch (type) {
    case Type::kPush:
      return "push";
    case Type::kPull:
      return "pull";
    case Type::kPushPull:
      return "push_pull";
    case Type::kAssign:
      return "assign";
    case Type::kQuery:
      return "query";
    case Type::kReply:
      return "reply";
    case Type::kControl:
      return "control";
  }
  return "type without a name";
}

}  // namespace ps::wire
