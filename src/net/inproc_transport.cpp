#include "net/inproc_transport.h"

#include <deque>
#include <set>
#include <unordered_map>
#include <utility>

#include <ps/error.h>

#include "base/wakeup.h"
#include "net/endpoint.h"

namespace ps::net {

// One end of a connection, and what has come in on it.
struct InprocEnd {
  std::string name;                     // what the link was opened to; empty when a peer opened it
  std::shared_ptr<InprocMailbox> peer;  // null while there is none
  Link peer_link = 0;                   // this connection's number at the peer
  bool peer_waits = false;              // the peer was refused for lack of room
  std::deque<Frames> inbox;
};

// No two mailboxes are locked at once, but to make a connection (std::scoped_lock orders them).
struct InprocMailbox {
  explicit InprocMailbox(const TransportLimits& limits_in) : limits(limits_in) {}

  const TransportLimits limits;
  Wakeup wakeup;  // synchronises itself

  std::mutex mutex;
  // Guarded by mutex.
  std::unordered_map<Link, InprocEnd> ends;
  std::deque<Link> ready;      // links with messages, in turn
  std::set<Link> unconnected;  // own links without a peer
  Link next_accepted = kAcceptedBit;
  bool closed = false;

  // The end `link` of this mailbox loses its peer, if that is still `peer`. What came in before
  // can still be received.
  void hang_up(Link link, const InprocMailbox* peer) {
    const std::lock_guard lock(mutex);
    const auto found = ends.find(link);
    if (found == ends.end() || found->second.peer.get() != peer) return;
    InprocEnd& end = found->second;
    end.peer.reset();
    if (link < kAcceptedBit) {
      unconnected.insert(link);
    } else if (end.inbox.empty()) {
      ends.erase(found);
    }
    wakeup.ring();
  }

  enum class Delivery { kDone, kFull, kGone, kTooLarge };
  Delivery deliver(Link link, const InprocMailbox* from, const Frames& frames) {
    const std::lock_guard lock(mutex);
    const auto found = ends.find(link);
    if (found == ends.end() || found->second.peer.get() != from) return Delivery::kGone;
    if (!fits(frames, limits)) return Delivery::kTooLarge;
    InprocEnd& end = found->second;
    if (end.inbox.size() >= limits.queued_messages) {
      end.peer_waits = true;
      return Delivery::kFull;
    }
    // The owner clears the wakeup only when nothing is ready, so one ring is enough until then.
    const bool was_quiet = ready.empty();
    if (end.inbox.empty()) ready.push_back(link);
    end.inbox.push_back(frames);
    if (was_quiet) wakeup.ring();
    return Delivery::kDone;
  }

  bool has_room(Link link) {
    const std::lock_guard lock(mutex);
    const auto found = ends.find(link);
    return found == ends.end() || found->second.inbox.size() < limits.queued_messages;
  }
};

std::string InprocHub::bind(const std::string& name, const MailboxPtr& mailbox) {
  std::vector<std::weak_ptr<InprocMailbox>> waiters;
  std::string bound_name = name;
  {
    const std::lock_guard lock(mutex_);
    while (bound_name == "*" || (name == "*" && bound_.contains(bound_name))) {
      bound_name = "any-" + std::to_string(++names_made_);
    }
    if (!bound_.emplace(bound_name, mailbox).second) {
      throw Error(ErrorCode::kUnavailable,
                  "the endpoint inproc://" + name + " is taken; bind another name, or inproc://*");
    }
    waiters.swap(waiters_);
  }
  for (const auto& waiter : waiters) {
    if (const MailboxPtr waiting = waiter.lock()) waiting->wakeup.ring();
  }
  return bound_name;
}

void InprocHub::unbind(const std::string& name) {
  const std::lock_guard lock(mutex_);
  bound_.erase(name);
}

InprocHub::MailboxPtr InprocHub::find_or_wait(const std::string& name, const MailboxPtr& waiter) {
  const std::lock_guard lock(mutex_);
  const auto found = bound_.find(name);
  if (found != bound_.end()) return found->second;
  std::erase_if(waiters_, [&](const std::weak_ptr<InprocMailbox>& other) {
    return other.expired() || other.lock() == waiter;
  });
  waiters_.push_back(waiter);
  return nullptr;
}

InprocTransport::InprocTransport(std::shared_ptr<InprocHub> hub, const TransportLimits& limits)
    : hub_(std::move(hub)), mailbox_(std::make_shared<InprocMailbox>(limits)) {
  PS_ASSERT(hub_ != nullptr, "an inproc transport needs a hub");
}

InprocTransport::~InprocTransport() {
  if (!name_.empty()) hub_->unbind(name_);
  std::unordered_map<Link, InprocEnd> ends;
  {
    const std::lock_guard lock(mailbox_->mutex);
    mailbox_->closed = true;
    ends.swap(mailbox_->ends);  // breaks the cycle of mailboxes that know each other
  }
  for (const auto& [link, end] : ends) {
    if (end.peer) end.peer->hang_up(end.peer_link, mailbox_.get());
  }
}

int InprocTransport::fd() const noexcept {
  return mailbox_->wakeup.fd();
}

std::string InprocTransport::bind(const std::string& endpoint) {
  thread_.check_or_unowned();
  PS_ASSERT(name_.empty(), "a transport is bound at most once");
  name_ = hub_->bind(std::string(address_of(endpoint, "inproc")), mailbox_);
  return "inproc://" + name_;
}

void InprocTransport::connect(Link link, const std::string& endpoint) {
  thread_.check();
  require_own_link(link);
  const std::string name(address_of(endpoint, "inproc"));
  disconnect(link);
  {
    const std::lock_guard lock(mailbox_->mutex);
    mailbox_->ends[link].name = name;
    mailbox_->unconnected.insert(link);
  }
  try_connect(link);
}

bool InprocTransport::try_connect(Link link) {
  std::string name;
  {
    const std::lock_guard lock(mailbox_->mutex);
    name = mailbox_->ends.at(link).name;
  }
  // A mailbox that closes leaves the hub first, so this ends.
  while (const auto target = hub_->find_or_wait(name, mailbox_)) {
    const auto join = [&] {
      if (target->closed) return false;
      const Link accepted = target->next_accepted++;
      InprocEnd& there = target->ends[accepted];
      there.peer = mailbox_;
      there.peer_link = link;
      InprocEnd& here = mailbox_->ends.at(link);
      here.peer = target;
      here.peer_link = accepted;
      here.peer_waits = false;
      mailbox_->unconnected.erase(link);
      return true;
    };
    if (target == mailbox_) {
      const std::lock_guard lock(mailbox_->mutex);
      return join();
    }
    const std::scoped_lock lock(mailbox_->mutex, target->mutex);
    if (join()) return true;
  }
  return false;
}

void InprocTransport::connect_waiting() {
  std::vector<Link> links;
  {
    const std::lock_guard lock(mailbox_->mutex);
    links.assign(mailbox_->unconnected.begin(), mailbox_->unconnected.end());
  }
  for (const Link link : links) try_connect(link);
}

void InprocTransport::disconnect(Link link) {
  thread_.check();
  full_.remove(link);
  InprocEnd end;
  {
    const std::lock_guard lock(mailbox_->mutex);
    const auto found = mailbox_->ends.find(link);
    if (found == mailbox_->ends.end()) return;
    end = std::move(found->second);
    mailbox_->ends.erase(found);
    mailbox_->unconnected.erase(link);
    std::erase(mailbox_->ready, link);
  }
  if (end.peer) end.peer->hang_up(end.peer_link, mailbox_.get());
}

SendResult InprocTransport::send(Link link, const Frames& frames) {
  thread_.check();
  require_fits(frames, mailbox_->limits);
  full_.remove(link);
  // A second try follows when the connection turns out to be gone and another one is made.
  for (int attempt = 0; attempt < 2; ++attempt) {
    std::shared_ptr<InprocMailbox> peer;
    Link peer_link = 0;
    {
      const std::lock_guard lock(mailbox_->mutex);
      const auto found = mailbox_->ends.find(link);
      if (found == mailbox_->ends.end()) return SendResult::kUnreachable;
      peer = found->second.peer;
      peer_link = found->second.peer_link;
    }
    if (!peer) {
      if (link >= kAcceptedBit) return SendResult::kUnreachable;
      if (try_connect(link)) continue;
      break;
    }
    switch (peer->deliver(peer_link, mailbox_.get(), frames)) {
      case InprocMailbox::Delivery::kDone:
        return SendResult::kSent;
      case InprocMailbox::Delivery::kTooLarge:  // the peer's limit is lower than ours: cut off
        peer->hang_up(peer_link, mailbox_.get());
        mailbox_->hang_up(link, peer.get());
        return SendResult::kUnreachable;
      case InprocMailbox::Delivery::kGone:
        mailbox_->hang_up(link, peer.get());
        break;
      case InprocMailbox::Delivery::kFull:
        full_.add(link);
        return SendResult::kFull;
    }
  }
  full_.add(link);
  return SendResult::kFull;
}

bool InprocTransport::take(Link& from, Frames& frames) {
  std::shared_ptr<InprocMailbox> relieved;
  {
    const std::lock_guard lock(mailbox_->mutex);
    if (mailbox_->ready.empty()) {
      mailbox_->wakeup.clear();
      return false;
    }
    from = mailbox_->ready.front();
    mailbox_->ready.pop_front();
    const auto found = mailbox_->ends.find(from);
    InprocEnd& end = found->second;
    frames = std::move(end.inbox.front());
    end.inbox.pop_front();
    if (std::exchange(end.peer_waits, false)) relieved = end.peer;
    if (!end.inbox.empty()) {
      mailbox_->ready.push_back(from);
    } else if (!end.peer && from >= kAcceptedBit) {
      mailbox_->ends.erase(found);
    }
  }
  if (relieved) relieved->wakeup.ring();
  return true;
}

bool InprocTransport::has_room(Link link) const {
  std::shared_ptr<InprocMailbox> peer;
  Link peer_link = 0;
  {
    const std::lock_guard lock(mailbox_->mutex);
    const auto found = mailbox_->ends.find(link);
    if (found == mailbox_->ends.end()) return true;
    peer = found->second.peer;
    peer_link = found->second.peer_link;
  }
  return peer && peer->has_room(peer_link);
}

bool InprocTransport::receive(Link& from, Frames& frames) {
  thread_.check();
  if (take(from, frames)) return true;
  connect_waiting();
  const bool room_again = full_.remind([this](Link link) { return has_room(link); });
  if (room_again) mailbox_->wakeup.ring();
  return false;
}

}  // namespace ps::net
