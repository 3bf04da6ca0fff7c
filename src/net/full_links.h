// Links whose last send was refused (kFull). The signal "there is room again" may come while
// receive() drains other news, and would be consumed there: the caller would then wait for ever.
// So receive(), before it returns false, asks here whether to keep the descriptor readable.
#pragma once

#include <unordered_map>

#include "net/transport.h"

namespace ps::net {

class FullLinks {
 public:
  void add(Link link) { reminders_[link] = kReminders; }
  void remove(Link link) { reminders_.erase(link); }
  [[nodiscard]] bool empty() const noexcept { return reminders_.empty(); }

  // True when some link has room and its sender has not come back yet. A sender that gave its
  // message up is reminded only a few times, so that it does not spin.
  template <class HasRoom>
  bool remind(HasRoom&& has_room) {
    bool any = false;
    for (auto entry = reminders_.begin(); entry != reminders_.end();) {
      if (!has_room(entry->first)) {
        ++entry;
        continue;
      }
      any = true;
      entry = --entry->second == 0 ? reminders_.erase(entry) : std::next(entry);
    }
    return any;
  }

 private:
  static constexpr int kReminders = 8;
  std::unordered_map<Link, int> reminders_;
};

}  // namespace ps::net
