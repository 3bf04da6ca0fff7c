// What a core wants done. A core is a plain state machine: it never touches a socket, a clock or a
// thread, it only writes into an Outbox, which its host (cluster/node.h, in production and in the
// simulator alike) carries out.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "net/transport.h"
#include "wire/header.h"

namespace ps::cluster {

class Outbox {
 public:
  struct Send {
    net::Link link;
    wire::Message message;
  };
  struct Connect {
    net::Link link;
    std::string endpoint;
  };
  struct Disconnect {
    net::Link link;
  };
  struct Note {
    LogLevel level;
    std::string text;
  };
  using Action = std::variant<Send, Connect, Disconnect, Note>;

  void send(net::Link link, wire::Message message) {
    actions_.emplace_back(Send{link, std::move(message)});
  }
  void connect(net::Link link, std::string endpoint) {
    actions_.emplace_back(Connect{link, std::move(endpoint)});
  }
  void disconnect(net::Link link) { actions_.emplace_back(Disconnect{link}); }
  void note(LogLevel level, std::string text) {
    actions_.emplace_back(Note{level, std::move(text)});
  }

  // In the order they were asked for; the outbox is empty afterwards.
  std::vector<Action> take() { return std::exchange(actions_, {}); }
  [[nodiscard]] bool empty() const { return actions_.empty(); }

 private:
  std::vector<Action> actions_;
};

}  // namespace ps::cluster
