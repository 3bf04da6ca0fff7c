// One core alone, message by message: what it sends is collected and decoded for a test to look at.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/core.h"
#include "wire/control.h"

namespace ps {

class CoreDriver {
 public:
  struct Sent {
    net::Link link = 0;
    wire::Message message;
  };

  // Not owned.
  explicit CoreDriver(cluster::Core& core) : core_(core) {}

  void start() {
    core_.on_start(now, out);
    collect();
  }
  void receive(net::Link from, wire::Message message) {
    core_.on_message(from, std::move(message), now, out);
    collect();
  }
  void receive(net::Link from, wire::Header header, const wire::Control& control) {
    header.type = wire::Type::kControl;
    receive(from, {header, {}, wire::encode_control(control)});
  }
  // Time passes, timer by timer.
  void advance(Duration by) {
    const TimePoint until = now + by;
    while (core_.next_time() <= until) {
      now = std::max(now, core_.next_time());
      core_.on_time(now, out);
      collect();
    }
    now = until;
  }
  // Carries out what a test asked of the core directly.
  void collect() {
    for (auto& action : out.take()) {
      if (auto* send = std::get_if<cluster::Outbox::Send>(&action))
        sent.push_back({send->link, std::move(send->message)});
      if (auto* connect = std::get_if<cluster::Outbox::Connect>(&action))
        connects.push_back(*connect);
      if (auto* note = std::get_if<cluster::Outbox::Note>(&action)) notes.push_back(*note);
    }
  }

  // What was sent since the last call.
  std::vector<Sent> take() { return std::exchange(sent, {}); }
  // The control messages of type T among what was sent since the last take(), with their links.
  template <class T>
  std::vector<std::pair<net::Link, T>> controls() const {
    std::vector<std::pair<net::Link, T>> found;
    for (const Sent& one : sent) {
      if (one.message.header.type != wire::Type::kControl) continue;
      const auto decoded = wire::decode_control(one.message.payload.bytes());
      const auto* control = std::get_if<wire::Control>(&decoded);
      if (control == nullptr) continue;
      if (const T* wanted = std::get_if<T>(control)) found.emplace_back(one.link, *wanted);
    }
    return found;
  }

  TimePoint now{std::chrono::seconds(1)};
  cluster::Outbox out;
  std::vector<Sent> sent;
  std::vector<cluster::Outbox::Connect> connects;
  std::vector<cluster::Outbox::Note> notes;

 private:
  cluster::Core& core_;
};

}  // namespace ps
