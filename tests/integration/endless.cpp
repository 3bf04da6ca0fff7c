// A job that trains until something ends it; worker 0 says on standard output when it is under way.
// `endless differ`: the last worker registers another shape. `endless damaged`: worker 0 adds a
// parameter with a bad shape.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>

#include <ps/ps.hpp>

int main(int argc, char** argv) try {
  ps::Session session = ps::Session::open(argc, argv);
  const std::string flaw = session.arguments().size() > 1 ? session.arguments()[1] : "";
  ps::Model model = session.model("endless", {.optimizer = ps::Sgd{.lr = 0.1F}});
  const bool last = session.rank() + 1 == session.workers();
  const bool damaged = flaw == "damaged" && session.rank() == 0;
  model.add("first.weight", {16, damaged ? -3 : 3});
  const ps::Parameter w = model.add("second.weight", {100, flaw == "differ" && last ? 7 : 8});
  model.start();
  std::ranges::fill(w.gradients(), 1.0F);
  for (std::uint64_t step = 0;; ++step) {
    if (step == 10 && session.rank() == 0) {
      std::puts("under way");
      std::fflush(stdout);
    }
    model.push_pull(1.0).wait();
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "endless: %s\n", error.what());
  return 1;
}
