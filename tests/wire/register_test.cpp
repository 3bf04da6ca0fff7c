// Comparing two registrations: equal ones have one fingerprint, others a sentence that says why.
#include <functional>
#include <set>

#include "support/catch.h"
#include "wire/control.h"
#include "wire/samples.h"

namespace ps::wire {
namespace {

using samples::registration;

// difference() between the sample ("there") and the sample after `change` ("here").
std::string changed(const std::function<void(Register&)>& change) {
  Register here = registration();
  change(here);
  CHECK(fingerprint(here) != fingerprint(registration()));
  return difference(registration(), here);
}

TEST_CASE("register: equal registrations have one fingerprint and no difference", "[unit]") {
  CHECK(difference(registration(), registration()).empty());
  CHECK(fingerprint(registration()) == fingerprint(registration()));
  const auto back = decode_control(encode_control(registration()).bytes());
  CHECK(fingerprint(std::get<Register>(std::get<Control>(back))) == fingerprint(registration()));
  CHECK(fingerprint(Register{.name = "a"}) != fingerprint(Register{.name = "b"}));
}

TEST_CASE("register: differing options are told with both values", "[unit]") {
  CHECK(changed([](Register& r) { r.name = "cnn"; }) == "name mlp / cnn");
  CHECK(changed([](Register& r) { r.options.mode = Async{}; }) == "mode ssp / async");
  CHECK(changed([](Register& r) { r.options.mode = Ssp{4, true}; }) == "mode.staleness 3 / 4");
  CHECK(changed([](Register& r) { r.options.optimizer = Adam{}; }) == "optimizer sgd / adam");
  CHECK(changed([](Register& r) { std::get<Sgd>(r.options.optimizer).lr = 0.01F; }) ==
        "optimizer.lr 0.1 / 0.01");
  CHECK(changed([](Register& r) { std::get<Sgd>(r.options.optimizer).nesterov = false; }) ==
        "optimizer.nesterov true / false");
  CHECK(changed([](Register& r) { r.options.schedule.kind = Schedule::Kind::kLinear; }) ==
        "schedule cosine / linear");
  CHECK(changed([](Register& r) { r.options.schedule.total_samples = 1; }) ==
        "schedule.total_samples 5000 / 1");
  CHECK(changed([](Register& r) { r.options.groups[0].pattern = "*"; }) ==
        "groups[0].pattern *.bias / *");
  CHECK(changed([](Register& r) { r.options.groups.emplace_back(); }) == "groups 1 / 2 entries");
  CHECK(changed([](Register& r) { r.options.reduce = Reduce::kMean; }) == "reduce sum / mean");
  CHECK(changed([](Register& r) { r.options.compression.push = Compression::Push::kFp16; }) ==
        "compression.push topk / fp16");
  CHECK(changed([](Register& r) { r.options.chunk_bytes = 0; }) == "chunk_bytes 65536 / 0");
}

TEST_CASE("register: workers that go on from different checkpoints are told apart", "[unit]") {
  CHECK(changed([](Register& r) { r.checkpoint = 0; }) == "a checkpoint is restored only there");
  CHECK(changed([](Register& r) { ++r.checkpoint; }) ==
        "another checkpoint is restored there than here");
}

TEST_CASE("register: two learning rates that print alike are still told apart", "[unit]") {
  const std::string text = changed(
      [](Register& r) { std::get<Sgd>(r.options.optimizer).lr = std::nextafter(0.1F, 1.0F); });
  CHECK(text == "optimizer.lr 0.1 / 0.10000001");
  CHECK(changed([](Register& r) { r.options.groups[0].weight_decay = -0.0F; }) ==
        "groups[0].weight_decay 0 / -0");
}

TEST_CASE("register: differing tables are told by parameter", "[unit]") {
  CHECK(changed([](Register& r) {
          r.parameters[0].shape = {784, 12};
        }) == "parameter 0: 'fc.weight' has shape [784, 10] there and [784, 12] here");
  CHECK(changed([](Register& r) { r.parameters[2].shape = {1}; }) ==
        "parameter 2: 'scale' has shape [] there and [1] here");
  CHECK(changed([](Register& r) { r.parameters[1].kind = ParameterKind::kTrained; }) ==
        "parameter 1: 'bn.mean' has kind average there and trained here");
  CHECK(changed([](Register& r) { std::swap(r.parameters[0], r.parameters[1]); }) ==
        "parameter 0: 'fc.weight' there and 'bn.mean' here");
  CHECK(changed([](Register& r) { r.parameters.pop_back(); }) == "parameter 2 'scale' only there");
  CHECK(changed([](Register& r) {
          r.parameters.push_back({"x", {2}});
        }) == "parameter 3 'x' only here");
}

TEST_CASE("register: the first difference is told, options before tables", "[unit]") {
  CHECK(changed([](Register& r) {
          r.options.reduce = Reduce::kMean;
          r.parameters.clear();
        }) == "reduce sum / mean");
  CHECK(changed([](Register& r) {
          r.parameters[0].name = "other";
          r.parameters[1].shape = {5};
        }) == "parameter 0: 'fc.weight' there and 'other' here");
}

}  // namespace
}  // namespace ps::wire
