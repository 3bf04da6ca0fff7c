// Waiting for one parameter's weights of a step, with real loops and threads.
#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include <ps/ps.hpp>

#include "support/catch.h"

namespace {

using ps::LocalCluster;
using ps::Session;

constexpr std::chrono::milliseconds kShort{10};
constexpr std::int64_t kElements = 32 << 10;  // two chunks, each a message of its own

// Three parameters, each of several messages.
struct Trainee {
  Trainee(Session& session, const ps::Consistency& mode, ps::Update update = ps::Update::kServer)
      : model(session.model("m",
                            {.mode = mode,
                             .optimizer = ps::Sgd{.lr = 1.0F},
                             .update = update,
                             .chunk_bytes = 64 << 10})) {
    for (const char* name : {"a", "b", "c"}) model.add(name, {kElements});
    model.start();
  }
  void fill(float value) const {
    for (const ps::Parameter& each : model.parameters()) std::ranges::fill(each.gradients(), value);
  }
  [[nodiscard]] const ps::Parameter& operator[](std::size_t i) const {
    return model.parameters()[i];
  }
  [[nodiscard]] bool all(std::size_t i, float value) const {
    return std::ranges::all_of((*this)[i].weights(), [&](float each) { return each == value; });
  }
  ps::Model model;
};

ps::ErrorCode code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const ps::Error& error) {
    return error.code();
  }
  return ps::ErrorCode::kInternal;
}

}  // namespace

TEST_CASE("arrival: a parameter's weights are there while another worker computes the others",
          "[unit][session]") {
  const std::string transport = GENERATE("inproc", "tcp", "shm");
  CAPTURE(transport);
  std::promise<void> seen;
  LocalCluster::run(2,
                    [&](Session& session) {
                      Trainee trainee(session, ps::Sync{});
                      trainee.fill(1.0F);
                      ps::Model& model = trainee.model;
                      trainee[0].wait_for_weights();  // no step yet
                      model.begin_step(1);
                      if (session.rank() == 1) {
                        trainee[2].push_pull();
                        PS_CHECK_IN_THREAD(code_of([&] { trainee[2].wait_for_weights(); }) ==
                                           ps::ErrorCode::kInvalidArgument);
                        trainee[0].wait_for_weights();  // has not left: the step began with it
                        PS_CHECK_IN_THREAD(seen.get_future().wait_for(std::chrono::seconds(60)) ==
                                           std::future_status::ready);
                        model.push_pull().wait();
                        return;
                      }
                      ps::Pending step = model.push_pull();
                      trainee[2].wait_for_weights();
                      PS_CHECK_IN_THREAD(trainee.all(2, -1.0F));
                      PS_CHECK_IN_THREAD(!step.done());
                      PS_CHECK_IN_THREAD(code_of([&] { trainee[0].wait_for_weights(kShort); }) ==
                                         ps::ErrorCode::kTimeout);
                      PS_CHECK_IN_THREAD(code_of([&] { model.begin_step(1); }) ==
                                         ps::ErrorCode::kInvalidArgument);
                      seen.set_value();
                      for (std::size_t i = 0; i < 3; ++i) {
                        trainee[i].wait_for_weights();
                        PS_CHECK_IN_THREAD(trainee.all(i, -1.0F));
                      }
                      step.wait();
                      trainee[0].wait_for_weights(kShort);  // there, and again
                    },
                    {.transport = transport});
}

TEST_CASE("arrival: in every mode what has been waited for is what the step leaves",
          "[unit][session]") {
  struct Case {
    ps::Consistency mode;
    ps::Update update = ps::Update::kServer;
  };
  const auto [mode, update] = GENERATE(values<Case>({{ps::Sync{}},
                                                     {ps::Sync{.backup_workers = 1}},
                                                     {ps::Async{}},
                                                     {ps::Ssp{.staleness = 1}},
                                                     {ps::LocalSgd{.steps = 2}},
                                                     {ps::Easgd{.period = 2}},
                                                     {ps::Sync{}, ps::Update::kWorker}}));
  CAPTURE(ps::mode_name(mode), update == ps::Update::kWorker);
  LocalCluster::run(3,
                    [&, chosen = mode, updates = update](Session& session) {
                      Trainee trainee(session, chosen, updates);
                      for (std::uint32_t step = 0; step < 6; ++step) {
                        trainee.fill(static_cast<float>(session.rank() + step));
                        ps::Pending pending = trainee.model.push_pull(1);
                        std::vector<std::vector<float>> seen;
                        for (const ps::Parameter& each : trainee.model.parameters()) {
                          each.wait_for_weights();
                          seen.emplace_back(each.weights().begin(), each.weights().end());
                        }
                        pending.wait();
                        for (std::size_t i = 0; i < seen.size(); ++i) {
                          PS_CHECK_IN_THREAD(std::ranges::equal(seen[i], trainee[i].weights()));
                        }
                      }
                      trainee.model.push(1).wait();
                      trainee[1].wait_for_weights(kShort);
                    },
                    {.servers = 2});
}

TEST_CASE("arrival: who waits for a parameter hears of the job's end as who waits for the step",
          "[unit][session]") {
  std::promise<void> pushed;  // an end before that would be another wait's
  std::string told;
  std::string told_again;
  const auto words_of = [](const auto& wait) -> std::string {
    try {
      wait();
    } catch (const ps::Error& error) {
      return error.what();
    }
    return "nothing";
  };
  CHECK_THROWS_WITH(LocalCluster::run(2,
                                      [&](Session& session) {
                                        const Trainee trainee(session, ps::Sync{});
                                        if (session.rank() == 1) {
                                          pushed.get_future().wait_for(std::chrono::seconds(60));
                                          throw std::runtime_error("no data");
                                        }
                                        ps::Model model = trainee.model;
                                        ps::Pending step = model.push_pull(1);
                                        pushed.set_value();
                                        told = words_of([&] { trainee[1].wait_for_weights(); });
                                        told_again = words_of([&] { step.wait(); });
                                      }),
                    Catch::Contains("no data"));
  CHECK_THAT(told, Catch::Contains("no data"));
  CHECK(told == told_again);
}
