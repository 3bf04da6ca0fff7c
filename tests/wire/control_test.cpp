// Control messages: their fields by name, round trips, and what a decoder refuses.
#include "wire/control.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "support/catch.h"
#include "wire/json_sax.h"
#include "wire/samples.h"

namespace ps::wire {
namespace {

using nlohmann::json;
using samples::control_samples;
using samples::ControlSample;

json content(const Buffer& payload) {
  std::string why;
  const auto value = parse_limited(payload.bytes(), Format::kMsgPack, {}, &why);
  INFO(why);
  REQUIRE(value);
  return *value;
}

std::variant<Control, DecodeError> decode_json(const json& value) {
  const std::vector<std::uint8_t> packed = json::to_msgpack(value);
  return decode_control(std::as_bytes(std::span(packed)));
}

Control accepted(const json& value) {
  auto result = decode_json(value);
  const auto* error = std::get_if<DecodeError>(&result);
  INFO((error == nullptr ? "" : to_string(*error)));
  REQUIRE(error == nullptr);
  return std::get<Control>(std::move(result));
}

std::string refused(const json& value) {
  const auto result = decode_json(value);
  REQUIRE(std::holds_alternative<DecodeError>(result));
  const auto& error = std::get<DecodeError>(result);
  CHECK(error.code == DecodeError::Code::kControl);
  return error.detail;
}

// The samples' message of type T as JSON, to be changed by a test.
template <class T>
json sample() {
  for (const ControlSample& one : control_samples()) {
    if (std::holds_alternative<T>(one.control)) return json::parse(one.json);
  }
  return {};
}

TEST_CASE("control: every message has the fields that docs/protocol.md names", "[unit]") {
  std::set<std::size_t> seen;
  for (const ControlSample& one : control_samples()) {
    CAPTURE(control_name(one.control));
    CHECK(problem(one.control).empty());
    CHECK(content(encode_control(one.control)) == json::parse(one.json));
    CHECK(json::parse(one.json)["kind"] == control_name(one.control));
    seen.insert(one.control.index());
  }
  CHECK(seen.size() == std::variant_size_v<Control>);
}

TEST_CASE("control: every message survives the round trip", "[unit]") {
  for (const ControlSample& one : control_samples()) {
    CAPTURE(control_name(one.control));
    const Control back = accepted(json::parse(one.json));
    CHECK(back.index() == one.control.index());
    CHECK(content(encode_control(back)) == json::parse(one.json));
  }
}

TEST_CASE("control: values arrive in the fields they left from", "[unit]") {
  const auto view = std::get<View>(accepted(sample<View>()));
  CHECK(view.workers == samples::view().workers);
  CHECK(view.shards == samples::view().shards);
  REQUIRE(view.models.size() == 2);
  CHECK(view.models[0].placement == std::vector<std::uint32_t>{0, 1, 1});
  CHECK(view.models[0].parameters == samples::view().models[0].parameters);
  CHECK(std::get<Adam>(view.models[0].options.optimizer).beta2 == 0.875F);
  CHECK(std::get<Async>(view.models[0].options.mode).staleness_aware);
  CHECK(std::holds_alternative<Sync>(view.models[1].options.mode));
  const auto grant = std::get<LeaseGrant>(accepted(sample<LeaseGrant>()));
  CHECK((grant.index == 1 && grant.done && grant.epoch == 2 && grant.begin == 3 && grant.end == 4));
  const auto registration = std::get<Register>(accepted(sample<Register>()));
  CHECK(registration.options.schedule.kind == Schedule::Kind::kCosine);
  CHECK(registration.options.reduce == Reduce::kSum);
  CHECK(registration.parameters[1].kind == ParameterKind::kAverage);
}

TEST_CASE("control: numbers keep their bits", "[unit]") {
  Random random(3);
  Collective sent;
  for (int i = 0; i < 1000; ++i) sent.values.push_back(std::bit_cast<double>(random.next_u64()));
  sent.values.push_back(-0.0);
  const auto result = decode_control(encode_control(sent).bytes());
  const auto& got = std::get<Collective>(std::get<Control>(result));
  REQUIRE(got.values.size() == sent.values.size());
  for (std::size_t i = 0; i < sent.values.size(); ++i) {
    CAPTURE(i, sent.values[i]);
    CHECK((std::isnan(sent.values[i]) ? std::isnan(got.values[i])
                                      : std::bit_cast<std::uint64_t>(got.values[i]) ==
                                            std::bit_cast<std::uint64_t>(sent.values[i])));
  }
}

TEST_CASE("control: a field that is missing or of another type is named", "[unit]") {
  for (const ControlSample& one : control_samples()) {
    const json whole = json::parse(one.json);
    for (const auto& [key, value] : whole.items()) {
      CAPTURE(control_name(one.control), key);
      json without = whole;
      without.erase(key);
      CHECK(refused(without) == key + ": missing");
      json other = whole;
      other[key] = nullptr;
      CHECK_THAT(refused(other), Catch::StartsWith(key + ": ") && Catch::EndsWith("null came"));
    }
  }
}

TEST_CASE("control: errors inside lists and objects say where", "[unit]") {
  json view = sample<View>();
  view["models"][1]["options"]["optimizer"].erase("lr");
  CHECK(refused(view) == "models[1].options.optimizer.lr: missing");
  view = sample<View>();
  view["models"][0]["placement"][2] = "1";
  CHECK(refused(view) ==
        "models[0].placement[2]: an integer expected, a value of type string came");
  view = sample<View>();
  view["models"][0]["options"]["mode"]["kind"] = "eventual";
  CHECK(refused(view) == "models[0].options.mode: kind 'eventual' is not known");
  view = sample<View>();
  view["workers"][3]["state"] = "asleep";
  CHECK(refused(view) == "workers[3].state: 'asleep' is not known");
  view = sample<View>();
  view["shards"] = {1};
  CHECK(refused(view) == "shards[0]: an object expected, a value of type number came");
}

TEST_CASE("control: integers must fit their fields", "[unit]") {
  json join = sample<Join>();
  join["index"] = std::uint64_t{1} << 32;
  CHECK(refused(join) == "index: 4294967296 is out of range");
  join["index"] = -1;
  CHECK(refused(join) == "index: -1 is out of range");
  join["index"] = 1.0;
  CHECK_THAT(refused(join), Catch::Contains("an integer expected"));
  json allocated = sample<Allocated>();
  allocated["model"] = 65536;
  CHECK(refused(allocated) == "model: 65536 is out of range");
  json registration = sample<Register>();
  registration["parameters"][0]["shape"][1] = std::uint64_t{1} << 63;
  CHECK(refused(registration) == "parameters[0].shape[1]: 9223372036854775808 is out of range");
  registration = sample<Register>();
  registration["options"]["optimizer"]["lr"] = 1e300;
  CHECK(refused(registration) == "options.optimizer.lr: 1e+300 is out of range");
}

TEST_CASE("control: whole numbers are taken where real ones are expected", "[unit]") {
  json collective = sample<Collective>();
  collective["values"] = {1, -2};
  CHECK(std::get<Collective>(accepted(collective)).values == std::vector<double>{1, -2});
}

TEST_CASE("control: fields of a newer version are skipped", "[unit]") {
  json view = sample<View>();
  view["term"] = {1, {{"x", nullptr}}};
  view["models"][0]["options"]["mode"]["backup_workers"] = 1;
  const Control back = accepted(view);
  CHECK(content(encode_control(back)) == sample<View>());
}

TEST_CASE("control: what is no control message is refused", "[unit]") {
  CHECK_THAT(refused(json::array({1})), Catch::Contains("an object expected"));
  CHECK_THAT(refused(nullptr), Catch::Contains("null came"));
  CHECK(refused({{"kind", "hello"}}) == "kind 'hello' is not known");
  CHECK(refused({{"kind", std::string(5000, 'k')}}).size() < 200);
  CHECK(std::holds_alternative<DecodeError>(decode_control({})));
  const std::vector<std::byte> bomb(1 << 20, std::byte{0x91});
  const auto result = decode_control(bomb);
  CHECK(std::get<DecodeError>(result).detail == "nested deeper than 8");
}

TEST_CASE("control: a message cut anywhere or with any bit flipped does no harm", "[unit]") {
  for (const ControlSample& one : control_samples()) {
    CAPTURE(control_name(one.control));
    const Buffer payload = encode_control(one.control);
    std::vector<std::byte> bytes(payload.bytes().begin(), payload.bytes().end());
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      REQUIRE(std::holds_alternative<DecodeError>(decode_control(
          std::vector<std::byte>(bytes.begin(), bytes.begin() + static_cast<long>(length)))));
    }
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      const auto mask = std::byte{1} << (bit % 8);
      bytes[bit / 8] ^= mask;
      const auto result = decode_control(bytes);
      if (const auto* control = std::get_if<Control>(&result)) CHECK(problem(*control).empty());
      bytes[bit / 8] ^= mask;
    }
  }
}

TEST_CASE("control: texts that are no UTF-8 or too long arrive cleaned", "[unit]") {
  const auto sent = [](std::string reason) {
    const auto result = decode_control(encode_control(Leave{true, std::move(reason)}).bytes());
    return std::get<Leave>(std::get<Control>(result)).reason;
  };
  CHECK(sent("no file /tmp/\xE9t\xE9") == "no file /tmp/?t?");
  CHECK(sent(std::string(100'000, 'x')) == std::string(ControlLimits::kStringBytes, 'x'));
}

TEST_CASE("control: the largest view that the limits allow fits one message", "[unit][slow]") {
  View view;
  view.reason = std::string(ControlLimits::kStringBytes, 'r');
  const std::string name(ControlLimits::kNameBytes - 8, 'n');
  view.workers.resize(ControlLimits::kNodes);
  view.shards.assign(ControlLimits::kNodes, ShardInfo{name, UINT32_MAX});
  const std::vector<ParameterGroup> groups(ControlLimits::kGroups, {.pattern = name});
  for (std::uint16_t id = 0; id < ControlLimits::kModels; ++id) {
    view.models.push_back(
        {.id = id, .name = name, .options = {.mode = Ssp{}, .optimizer = Adam{}}});
    view.models.back().options.groups = groups;
  }
  std::vector<ParameterInfo>& parameters = view.models.back().parameters;
  for (std::size_t i = 0; i < ControlLimits::kParameters; ++i) {
    parameters.push_back({name + std::to_string(i),
                          std::vector<std::int64_t>(ControlLimits::kDimensions, 32),
                          ParameterKind::kAverage});
  }
  view.models.back().placement.assign(ControlLimits::kChunks, ControlLimits::kNodes - 1);
  REQUIRE(problem(view).empty());
  const Buffer payload = encode_control(view);
  CAPTURE(payload.size());
  const auto result = decode_control(payload.bytes());
  REQUIRE(std::holds_alternative<Control>(result));
  CHECK(std::get<View>(std::get<Control>(result)).models.back().parameters == parameters);
}

TEST_CASE("options: modes and optimizers have names", "[unit]") {
  CHECK(mode_name(Sync{}) == std::string("sync"));
  CHECK(mode_name(Async{}) == std::string("async"));
  CHECK(mode_name(Ssp{}) == std::string("ssp"));
  CHECK(optimizer_name(Sgd{}) == std::string("sgd"));
  CHECK(optimizer_name(Adam{}) == std::string("adam"));
  CHECK(optimizer_name(AdamW{}) == std::string("adamw"));
}

}  // namespace
}  // namespace ps::wire
