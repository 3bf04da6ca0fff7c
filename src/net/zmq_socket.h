// ZeroMQ sockets with every setting explicit, and messages without copies. Only for net/zmq_*.cpp.
#pragma once

#include <zmq.hpp>

#include "net/transport.h"
#include "net/zmq_context.h"
#include "net/zmq_transport.h"

namespace ps::net {

struct ZmqContext::Impl {
  zmq::context_t context;
};

// Throw ps::Error(kUnavailable) when the context has no socket left. `ipv6`: the endpoint is one.
zmq::socket_t make_router(ZmqContext& context, const ZmqOptions& options, bool ipv6);
zmq::socket_t make_dealer(ZmqContext& context, const ZmqOptions& options, bool ipv6);

// Large buffers are shared, not copied: libzmq's I/O thread drops the reference when it is done.
zmq::message_t to_message(const Buffer& buffer);
// Large messages are kept, not copied; the buffer's bytes are aligned to 8 at least.
Buffer to_buffer(zmq::message_t&& message);

// The outcome of a call that never waits.
enum class ZmqOutcome { kDone, kAgain, kUnroutable };
ZmqOutcome send_part(zmq::socket_t& socket, zmq::message_t& part, bool more);
bool receive_part(zmq::socket_t& socket, zmq::message_t& part);  // false: nothing there

}  // namespace ps::net
