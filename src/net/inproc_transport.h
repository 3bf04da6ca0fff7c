// Transport between the nodes of one process: frames are handed over by reference, never copied.
// No sockets, no serialisation; a lock per mailbox, held for a few pointer moves.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/full_links.h"
#include "net/owner_thread.h"
#include "net/transport.h"

namespace ps::net {

struct InprocMailbox;

// The names that a process's transports are bound to. Shared by them; any thread.
class InprocHub {
 private:
  friend class InprocTransport;
  using MailboxPtr = std::shared_ptr<InprocMailbox>;

  // Registers the mailbox and wakes those that wait for the name; "*" makes one up. Returns the
  // name. Throws ps::Error(kUnavailable) when it is taken.
  std::string bind(const std::string& name, const MailboxPtr& mailbox);
  void unbind(const std::string& name);
  // The mailbox of that name; without one, null, and `waiter` is rung when one appears.
  MailboxPtr find_or_wait(const std::string& name, const MailboxPtr& waiter);

  std::mutex mutex_;
  std::map<std::string, MailboxPtr> bound_;            // guarded by mutex_
  std::vector<std::weak_ptr<InprocMailbox>> waiters_;  // guarded by mutex_
  std::uint64_t names_made_ = 0;                       // guarded by mutex_
};

// Endpoints: "inproc://name", "inproc://*". A link opened here comes back by itself when its peer
// goes and another one binds the name.
class InprocTransport final : public Transport {
 public:
  InprocTransport(std::shared_ptr<InprocHub> hub, const TransportLimits& limits);
  ~InprocTransport() override;
  InprocTransport(const InprocTransport&) = delete;
  InprocTransport& operator=(const InprocTransport&) = delete;

  std::string bind(const std::string& endpoint) override;
  void connect(Link link, const std::string& endpoint) override;
  void disconnect(Link link) override;
  SendResult send(Link link, const Frames& frames) override;
  bool receive(Link& from, Frames& frames) override;
  [[nodiscard]] int fd() const noexcept override;
  [[nodiscard]] bool needs_checksum(Link /*link*/) const noexcept override { return false; }

 private:
  bool try_connect(Link link) PS_REQUIRES(thread_);
  void connect_waiting() PS_REQUIRES(thread_);
  [[nodiscard]] bool has_room(Link link) const;
  bool take(Link& from, Frames& frames) PS_REQUIRES(thread_);

  const std::shared_ptr<InprocHub> hub_;
  const std::shared_ptr<InprocMailbox> mailbox_;
  OwnerThread thread_;
  std::string name_ PS_GUARDED_BY(thread_);
  FullLinks full_ PS_GUARDED_BY(thread_);
};

}  // namespace ps::net
