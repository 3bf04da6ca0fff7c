#include "explore/search.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

namespace ps::explore {
namespace {

class Search {
 public:
  Search(const Job& job, Judge judge, std::uint64_t most) : job_(job), judge_(judge), most_(most) {}

  Findings operator()() {
    const auto began = std::chrono::steady_clock::now();
    world_ = std::make_unique<World>(job_);
    visit({});
    findings_.exhaustive = !stopped_;
    findings_.took_s = seconds(std::chrono::steady_clock::now() - began);
    return std::move(findings_);
  }

 private:
  // A state on the way to where world_ is, and what was chosen there.
  struct Stop {
    std::vector<Choice> choices;
    std::set<std::uint64_t> todo;  // channels
    std::set<std::uint64_t> done;
    std::vector<Choice> asleep;  // gone through from an earlier state, or from this one
    Choice chosen = {};
    World::Event event = {};
  };

  void visit(std::vector<Choice> asleep) {
    if (!world_->wrong().empty()) blame(world_->wrong());
    if (stopped_) return;
    const std::size_t depth = path_.size();
    std::vector<Choice> choices = world_->choices();
    if (choices.empty()) return end();
    const auto awake = std::ranges::find_if(
        choices, [&](const Choice& c) { return std::ranges::find(asleep, c) == asleep.end(); });
    if (awake == choices.end()) return;
    const std::uint64_t first = awake->channel;
    path_.push_back({std::move(choices), {first}, {}, std::move(asleep)});
    bool here = true;
    while (!path_[depth].todo.empty() && !stopped_) {
      const std::uint64_t channel = *path_[depth].todo.begin();
      path_[depth].todo.erase(channel);
      path_[depth].done.insert(channel);
      for (const Choice& choice : std::vector<Choice>(path_[depth].choices)) {
        if (choice.channel != channel || stopped_) continue;
        if (std::ranges::find(path_[depth].asleep, choice) != path_[depth].asleep.end()) continue;
        if (!std::exchange(here, false)) return_to(depth);
        take(choice);
      }
    }
    path_.pop_back();
  }

  // From the last stop of the path, where world_ is.
  void take(const Choice& choice) {
    ++findings_.choices;
    Stop& stop = path_.back();
    stop.chosen = choice;
    stop.event = world_->event_of(choice);
    find_races();
    std::vector<Choice> below;
    for (const Choice& other : stop.asleep) {
      if (world_->event_of(other).node != stop.event.node) below.push_back(other);
    }
    stop.asleep.push_back(choice);
    world_->apply(choice);
    visit(std::move(below));
  }

  // Earlier deliveries to the node of the newest event that this one could have come before.
  void find_races() {
    const Stop& newest = path_.back();
    const std::size_t node = newest.event.node;
    if (world_->commutes(node)) return;
    for (std::size_t i = 0; i + 1 < path_.size(); ++i) {
      Stop& stop = path_[i];
      const bool race = stop.event.node == node && stop.chosen.channel != newest.chosen.channel &&
                        newest.event.cause[node] < stop.event.index;
      if (race) try_instead(stop, first_towards(i));
    }
  }

  // The first choice from path_[at] on that the newest event needs; that event itself if it needs
  // none.
  [[nodiscard]] std::uint64_t first_towards(std::size_t at) const {
    const Stop& newest = path_.back();
    for (std::size_t i = at; i + 1 < path_.size(); ++i) {
      const World::Event& event = path_[i].event;
      if (event.index <= newest.event.cause[event.node]) return path_[i].chosen.channel;
    }
    return newest.chosen.channel;
  }

  static void try_instead(Stop& stop, std::uint64_t channel) {
    if (!stop.done.contains(channel)) stop.todo.insert(channel);
  }

  void end() {
    if (++findings_.interleavings > most_) stopped_ = true;
    std::string wrong = world_->judge();
    if (wrong.empty()) wrong = judge_(job_, *world_);
    if (!wrong.empty()) blame(wrong);
    ++findings_.outcomes[world_->outcome()];
  }

  void return_to(std::size_t depth) {
    world_ = std::make_unique<World>(job_);
    for (std::size_t i = 0; i < depth; ++i) world_->apply(path_[i].chosen);
  }

  void blame(const std::string& wrong) {
    stopped_ = true;
    findings_.wrong = wrong;
    world_ = std::make_unique<World>(job_);
    for (const Stop& stop : path_) {
      findings_.wrong += "\n  " + world_->describe(stop.chosen);
      world_->apply(stop.chosen);
    }
  }

  const Job& job_;
  const Judge judge_;
  const std::uint64_t most_;
  std::unique_ptr<World> world_;
  std::vector<Stop> path_;
  Findings findings_;
  bool stopped_ = false;
};

}  // namespace

Findings explore(const Job& job, Judge judge, std::uint64_t most) {
  return Search(job, judge, most)();
}

}  // namespace ps::explore
