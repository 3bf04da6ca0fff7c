#include "cluster/node.h"

#include <algorithm>
#include <string>
#include <utility>

#include <ps/error.h>

#include "base/trace.h"
#include "wire/control.h"

namespace ps::cluster {
namespace {

constexpr std::size_t kBlockedMessages = 4096;  // per link
constexpr Duration kBlockedRetry = std::chrono::milliseconds(2);
// Messages handled between two looks at the timers, so that a flood cannot hold them back.
constexpr int kMessagesPerPump = 256;

net::Frames to_frames(wire::Message& message, bool checksum) {
  const auto header = wire::encode_header(message, checksum);
  return {Buffer::copy_of(header), std::move(message.payload)};
}

const char* name_of(wire::Type type) {
  switch (type) {
    case wire::Type::kPush:
      return "push";
    case wire::Type::kPull:
      return "pull";
    case wire::Type::kPushPull:
      return "push_pull";
    case wire::Type::kAssign:
      return "assign";
    case wire::Type::kQuery:
      return "query";
    case wire::Type::kReply:
      return "reply";
    case wire::Type::kControl:
      break;
  }
  return "control";
}

bool is_request(wire::Type type) {
  return type != wire::Type::kControl && type != wire::Type::kReply && type != wire::Type::kQuery;
}

// Where the sender's end of the arrow and the receiver's meet.
std::string flow_of(const wire::Header& header) {
  return std::to_string(header.sender.index) + '.' + std::to_string(header.shard) + '.' +
         std::to_string(header.sequence);
}

std::uint64_t async_id(std::uint32_t shard, std::uint64_t sequence) {
  return sequence << 12 | (shard & 0xFFFU);
}

void trace_received(TraceSpan& span, const wire::Message& message) {
  if (!trace::on()) return;
  const wire::Header& header = message.header;
  if (header.type == wire::Type::kControl) return;
  span.note("bytes", message.payload.size());
  span.note("clock", header.clock);
  if (is_request(header.type)) trace::flow_in(flow_of(header));
  const bool answered =
      header.type == wire::Type::kReply && header.status != wire::Status::kWorking;
  if (answered) trace::end_async("request", async_id(header.sender.index, header.sequence));
}

void trace_sent(const wire::Message& message) {
  if (!trace::on() || !is_request(message.header.type)) return;
  const wire::Header& header = message.header;
  trace::flow_out(flow_of(header));
  trace::begin_async("request", async_id(header.shard, header.sequence), message.payload.size());
}

void write(const Log& log, const Outbox::Note& note) {
  switch (note.level) {
    case LogLevel::kDebug:
      log.debug(note.text);
      break;
    case LogLevel::kInfo:
      log.info(note.text);
      break;
    case LogLevel::kWarn:
      log.warn(note.text);
      break;
    case LogLevel::kError:
      log.error(note.text);
      break;
    case LogLevel::kOff:
      break;
  }
}

}  // namespace

Node::Node(net::Transport& transport, Core& core, Log log)
    : transport_(transport), core_(core), log_(std::move(log)) {}

void Node::start(TimePoint now) {
  core_.on_start(now, outbox_);
  flush();
}

void Node::pump(TimePoint now) {
  retry_blocked();
  net::Link from = 0;
  net::Frames frames;
  for (int i = 0; i < kMessagesPerPump && transport_.receive(from, frames); ++i) {
    ++counters_.received;
    auto decoded = wire::decode(frames.header.bytes(), std::move(frames.payload));
    if (auto* message = std::get_if<wire::Message>(&decoded)) {
      TraceSpan span(name_of(message->header.type));
      trace_received(span, *message);
      core_.on_message(from, std::move(*message), now, outbox_);
    } else {
      on_undecodable(from, std::get<wire::DecodeError>(decoded), now);
    }
    frames = {};
    flush();
  }
  if (now >= core_.next_time()) {
    core_.on_time(now, outbox_);
    flush();
  }
}

void Node::on_undecodable(net::Link from, const wire::DecodeError& error, TimePoint now) {
  ++counters_.undecodable;
  if (counters_.undecodable == 1)
    log_.warn("a message could not be read and is ignored: " + wire::to_string(error));
  if (error.code == wire::DecodeError::Code::kVersion && from >= net::kAcceptedBit) {
    // Any message of ours tells the peer which version this is, in the one field that never moves.
    // One that means nothing otherwise, should a flipped bit have made it look like that.
    wire::Message answer;
    answer.header.type = wire::Type::kControl;
    answer.payload = wire::encode_control(wire::HeartbeatAck{});
    outbox_.send(from, std::move(answer));
  }
  core_.on_bad_message(from, error, now, outbox_);
}

void Node::flush() {
  // Carrying out an action never adds one: only cores write into the outbox.
  for (auto& action : outbox_.take()) {
    if (auto* send = std::get_if<Outbox::Send>(&action)) {
      carry_out(*send);
    } else if (const auto* connect = std::get_if<Outbox::Connect>(&action)) {
      blocked_.erase(connect->link);
      transport_.connect(connect->link, connect->endpoint);
    } else if (const auto* disconnect = std::get_if<Outbox::Disconnect>(&action)) {
      blocked_.erase(disconnect->link);
      transport_.disconnect(disconnect->link);
    } else {
      write(log_, std::get<Outbox::Note>(action));
    }
  }
}

void Node::carry_out(Outbox::Send& send) {
  const TraceSpan span("send");
  trace_sent(send.message);
  net::Frames frames = to_frames(send.message, transport_.needs_checksum(send.link));
  const auto waiting = blocked_.find(send.link);
  const auto result =
      waiting == blocked_.end() ? try_send(send.link, frames) : net::SendResult::kFull;
  if (result == net::SendResult::kSent) {
    ++counters_.sent;
    return;
  }
  if (result == net::SendResult::kUnreachable) {
    ++counters_.dropped;
    return;
  }
  auto& queue = blocked_[send.link];
  if (queue.size() >= kBlockedMessages) {
    ++counters_.dropped;
  } else {
    queue.push_back(std::move(frames));
  }
}

// A message that no transport takes, being too large, is lost like any other: whoever waits for its
// answer meets a deadline.
net::SendResult Node::try_send(net::Link link, net::Frames& frames) {
  try {
    return transport_.send(link, frames);
  } catch (const Error& error) {
    log_.error(std::string("a message could not be sent: ") + error.what());
    return net::SendResult::kUnreachable;
  }
}

void Node::retry_blocked() {
  for (auto it = blocked_.begin(); it != blocked_.end();) {
    auto& queue = it->second;
    while (!queue.empty()) {
      const auto result = try_send(it->first, queue.front());
      if (result == net::SendResult::kFull) break;
      if (result == net::SendResult::kUnreachable) ++counters_.dropped;
      queue.pop_front();
    }
    it = queue.empty() ? blocked_.erase(it) : std::next(it);
  }
}

TimePoint Node::next_time(TimePoint now) const {
  const TimePoint core = core_.next_time();
  return blocked_.empty() ? core : std::min(core, now + kBlockedRetry);
}

}  // namespace ps::cluster
