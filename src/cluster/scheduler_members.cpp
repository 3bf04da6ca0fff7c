// The scheduler's members: who joins, who is silent, who leaves.
#include <algorithm>
#include <utility>

#include <ps/error.h>

#include "cluster/agent.h"
#include "cluster/scheduler.h"

namespace ps::cluster {
namespace {

std::string seconds_text(Duration duration) {
  const auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count() / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

}  // namespace

// --- members
// -------------------------------------------------------------------------------------------------

void Scheduler::on_join(net::Link from,
                        const wire::Header& header,
                        const wire::Join& join,
                        TimePoint now,
                        Outbox& out) {
  const wire::Sender who{join.role, join.index};
  Member* joining = member(who);
  if (joining == nullptr || who != header.sender) {
    refuse(from, ErrorCode::kInvalidArgument,
           name_of(who) + " does not belong to this job of " + std::to_string(options_.workers) +
               " workers and " + std::to_string(options_.shards) +
               " shards: check cluster.workers, cluster.servers and cluster.index",
           out);
    return;
  }
  if (view_.phase == wire::View::Phase::kStopping) {
    refuse(from, ErrorCode::kAborted, "the job is stopping: " + view_.reason, out);
    return;
  }
  const bool repeated = joining->joined && !joining->dead && joining->nonce == join.nonce;
  if (!repeated) {
    const bool may_return =
        who.role == wire::Role::kWorker && options_.on_failure == OnFailure::kWait;
    if (joining->joined && !may_return) {
      refuse(from, ErrorCode::kMismatch,
             name_of(who) +
                 " is already a member: two processes have the same cluster.index, or it was "
                 "restarted "
                 "although on_failure is stop",
             out);
      return;
    }
    admit(*joining, who, join, now, out);
  }
  joining->link = from;
  joining->last_heard = now;
  reply(from, wire::Joined{joining->incarnation}, out);
  if (repeated) {
    reply(from, view_, out);
  } else {
    publish(out);
  }
}

void Scheduler::admit(
    Member& member, const wire::Sender& who, const wire::Join& join, TimePoint now, Outbox& out) {
  member = Member{};
  member.joined = true;
  member.nonce = join.nonce;
  member.incarnation = ++incarnations_;
  member.last_heard = now;
  ++view_.generation;
  if (who.role == wire::Role::kWorker) {
    view_.workers[who.index] = {member.incarnation, wire::WorkerInfo::State::kAlive};
    for (auto& [stream, book] : leases_) book.release(who.index);
  } else {
    view_.shards[who.index] = {join.endpoint, member.incarnation};
  }
  const auto is_in = [](const Member& m) { return m.joined; };
  if (view_.phase == wire::View::Phase::kGathering && std::ranges::all_of(workers_, is_in) &&
      std::ranges::all_of(shards_, is_in)) {
    view_.phase = wire::View::Phase::kRunning;
    out.note(LogLevel::kInfo, "all members have joined");
  }
}

void Scheduler::on_heartbeat(Member& member, const wire::Heartbeat& heartbeat, Outbox& out) {
  member.revision_seen = std::max(member.revision_seen, heartbeat.revision);
  member.step = heartbeat.step;
  member.phase = heartbeat.phase;
  reply(member.link, wire::HeartbeatAck{view_.revision}, out);
  if (heartbeat.revision < view_.revision) reply(member.link, view_, out);
  if (view_.phase == wire::View::Phase::kStopping && everyone_knows()) finished_ = true;
}

void Scheduler::on_leave(const wire::Sender& sender,
                         const wire::Leave& leave,
                         TimePoint now,
                         Outbox& out) {
  if (leave.failed) {
    member(sender)->dead = true;  // it need not be told
    end(true, name_of(sender) + ": " + leave.reason, now, out);
    return;
  }
  if (sender.role != wire::Role::kWorker) return;
  auto& state = view_.workers[sender.index].state;
  if (state == wire::WorkerInfo::State::kAlive) {
    state = wire::WorkerInfo::State::kLeft;
    ++view_.generation;
    member(sender)->left_at = view_.revision + 1;
    publish(out);
  } else {
    reply(member(sender)->link, view_, out);
  }
  const auto left = [](const wire::WorkerInfo& w) {
    return w.state == wire::WorkerInfo::State::kLeft;
  };
  if (std::ranges::all_of(view_.workers, left)) end(false, "all workers have finished", now, out);
}

// --- time
// ----------------------------------------------------------------------------------------------------

void Scheduler::on_time(TimePoint now, Outbox& out) {
  if (now < next_time()) return;
  next_check_ = now + options_.timing.heartbeat / 2;
  if (view_.phase == wire::View::Phase::kStopping) {
    if (now >= farewell_ || everyone_knows()) finished_ = true;
    return;
  }
  if (view_.phase == wire::View::Phase::kGathering) check_gathering(now, out);
  check_liveness(now, out);
}

TimePoint Scheduler::next_time() const {
  if (finished_) return kNever;
  return std::min(next_check_, farewell_);
}

void Scheduler::check_gathering(TimePoint now, Outbox& out) {
  if (now - started_ < options_.timing.gather) return;
  std::string missing;
  const auto list = [&](const std::vector<Member>& members, wire::Role role) {
    for (std::uint32_t i = 0; i < members.size(); ++i) {
      if (!members[i].joined) missing += (missing.empty() ? "" : ", ") + name_of({role, i});
    }
  };
  list(workers_, wire::Role::kWorker);
  list(shards_, wire::Role::kServer);
  end(true,
      "not all members joined within " + seconds_text(options_.timing.gather) +
          "; missing: " + missing,
      now, out);
}

void Scheduler::check_liveness(TimePoint now, Outbox& out) {
  const auto check = [&](std::vector<Member>& members, wire::Role role) {
    for (std::uint32_t i = 0; i < members.size(); ++i) {
      const Member& m = members[i];
      const bool is_worker = role == wire::Role::kWorker;
      const bool expected =
          is_worker ? view_.workers[i].state == wire::WorkerInfo::State::kAlive : m.joined;
      if (expected && now - m.last_heard >= options_.timing.lease)
        on_death({role, i}, now - m.last_heard, now, out);
    }
  };
  check(workers_, wire::Role::kWorker);
  check(shards_, wire::Role::kServer);
}

void Scheduler::on_death(const wire::Sender& who, Duration silent, TimePoint now, Outbox& out) {
  Member& dead = *member(who);
  dead.dead = true;
  const std::string text = name_of(who) + " has been silent for " + seconds_text(silent) +
                           " (last heard in step " + std::to_string(dead.step) + ", " +
                           (dead.phase.empty() ? "starting" : dead.phase) +
                           "): it crashed, hangs, or its host is unreachable";
  if (who.role == wire::Role::kServer || options_.on_failure == OnFailure::kStop) {
    end(true, text, now, out);
    return;
  }
  out.note(LogLevel::kWarn, text + "; waiting for it to be started again");
  view_.workers[who.index].state = wire::WorkerInfo::State::kDead;
  ++view_.generation;
  for (auto& [stream, book] : leases_) book.release(who.index);
  publish(out);
}

}  // namespace ps::cluster
