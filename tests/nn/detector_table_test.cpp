// Tables of detectors: what is read, and that no file can do harm.
#include <string>
#include <string_view>

#include <ps/error.h>
#include <ps/nn/detector.h>

#include "base/random.h"
#include "nn/detector_tables.h"
#include "ops/temporary_directory.h"
#include "support/catch.h"

namespace ps::nn {
namespace {

const std::string kSmall = R"(
nc: 3  # classes
width_multiple: 0.5
depth_multiple: 0.33
anchors:
  - [10,13, 16,30]
backbone:
  # [from, number, module, args]
  [[-1, 1, Conv, [32, 3, 2]],
   [-1, 6, Bottleneck, [32]],
   [-1, 1, nn.Upsample, [None, 2, 'nearest']],
  ]
head:
  [[[-1], 1, Detect, [nc, anchors]]]
)";

// The small table with one piece of text replaced.
std::string changed(const std::string& from, const std::string& to) {
  std::string text = kSmall;
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

void build(const std::string& yaml) {
  const Detector detector(parse_detector_table(yaml, "small"), 3, 64, 64);
}

std::string error_of(const std::string& yaml) {
  try {
    build(yaml);
  } catch (const Error& error) {
    REQUIRE((error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kInvalidArgument));
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("detector table: is read as its users write it", "[unit]") {
  const DetectorTable table = parse_detector_table(kSmall, "small");
  REQUIRE(table.classes == 3);
  REQUIRE(table.anchors == std::vector<std::vector<Anchor>>{{{10, 13}, {16, 30}}});
  REQUIRE(table.rows.size() == 4);
  REQUIRE(table.rows[2].arguments == std::vector<std::string>{"None", "2", "nearest"});
  REQUIRE(table.rows[3].from == std::vector<int>{-1});
  REQUIRE(table.rows[1].line == 10);

  const Detector detector(table, 3, 64, 32);
  REQUIRE(detector.layers()[0].arguments == "[3, 16, 3, 2]");
  REQUIRE(detector.layers()[1].number == 2);
  REQUIRE(detector.graph().parameters()[5].name == "model.1.0.cv1.conv.weight");
  REQUIRE(detector.head().levels[0].stride == 1);
  REQUIRE(detector.head().candidates() == 2 * 64 * 32);
}

TEST_CASE("detector table: a scale is chosen by the name's last letter", "[unit]") {
  const std::string text = changed("width_multiple: 0.5\ndepth_multiple: 0.33",
                                   "scales: {s: [0.33, 0.5, 1024], m: [1.0, 2.0, 16]}");
  REQUIRE(parse_detector_table(text, "any-m").width_multiple == 2.0);
  REQUIRE(parse_detector_table(text, "any-m").max_channels == 16);
  REQUIRE(parse_detector_table(text, "any").width_multiple == 0.5);
  const Detector detector(parse_detector_table(text, "any-m"), 3, 64, 64);
  REQUIRE(detector.layers()[0].output.channels == 32);
}

TEST_CASE("detector table: activations are ps's", "[unit]") {
  const auto leaky = parse_detector_table(kSmall + "activation: nn.LeakyReLU(0.2)\n", "small");
  REQUIRE(leaky.activation == ActivationFunction::kLeakyRelu);
  REQUIRE(leaky.slope == 0.2F);
  build(kSmall + "activation: nn.ReLU()\n");
  REQUIRE_THAT(error_of(kSmall + "activation: nn.Mish()\n"), Catch::Contains("nn.Mish"));
}

TEST_CASE("detector table: built-in tables go by name, with or without .yaml", "[unit]") {
  for (const std::string& name : detector_table_names()) {
    REQUIRE(detector_table(name + ".yaml").rows.size() == detector_table(name).rows.size());
  }
  REQUIRE_THROWS_WITH(detector_table("yolov9"), Catch::Contains("yolov5n"));
  REQUIRE_THROWS_WITH(detector_table("/pico.yaml"), Catch::Contains("yolov5n"));
  REQUIRE_THROWS_AS(detector_table("/"), Error);
}

TEST_CASE("detector table: a file goes before a built-in name", "[unit]") {
  const test::TemporaryDirectory directory;
  const std::string path = directory.write("yolov5n.yaml", kSmall);
  const DetectorTable table = detector_table(path);
  REQUIRE(table.name == "yolov5n");
  REQUIRE(table.rows.size() == 4);
  REQUIRE_THROWS_AS(detector_table(directory.path()), Error);
  REQUIRE_THROWS_WITH(detector_table(directory.write("empty.yaml", "")), Catch::Contains("empty"));
}

TEST_CASE("detector table: mistakes are named with their row", "[unit]") {
  struct Mistake {
    const char* from;
    const char* to;
    const char* says;
  };
  const auto m = GENERATE(
      Mistake{"Conv, [32, 3, 2]", "Conf, [32, 3, 2]",
              "row 0 (Conf, line 9): module: expected Conv"},
      Mistake{"[32, 3, 2]", "[32, 3, two]",
              "row 0 (Conv, line 9): stride: expected 1 to 64, got two"},
      Mistake{"[32, 3, 2]", "[]", "channels: expected 1 to 65536, got no more arguments"},
      Mistake{"[32, 3, 2]", "[99999, 3, 2]", "channels"},
      Mistake{"[32, 3, 2]", "[32, 3, 2, 1, 3]", "groups to divide"},
      Mistake{"[32, 3, 2]", "[32, 3, 2, 1, 1, 5]", "expected at most 5, got 6"},
      Mistake{"[32, 3, 2]", "[32, 3, [[[[2]]]]]", "nested"},
      Mistake{"Bottleneck, [32]", "Bottleneck, [32, maybe]", "True or False, got maybe"},
      Mistake{"Bottleneck, [32]", "Bottleneck, [32, True, 1, 0.001]", "expansion"},
      Mistake{"Bottleneck, [32]", "Bottleneck, 32", "small:10: row 1: expected args in brackets"},
      Mistake{"[-1, 6, Bott", "[-3, 6, Bott", "row 1 (Bottleneck, line 10): from"},
      Mistake{"[-1, 6, Bott", "[1, 6, Bott", "expected an earlier row, got 1"},
      Mistake{"[-1, 6, Bott", "[[], 6, Bott", "expected from to name a row"},
      Mistake{"[-1, 6, Bott", "[[-1, -1], 6, Bott", "expected one row, got 2"},
      Mistake{"[-1, 6, Bott", "[x, 6, Bott", "rows' numbers, got x"},
      Mistake{"[-1, 6, Bott", "[-1, 0, Bott", "number: expected a number of 1 to 1000, got 0"},
      Mistake{"[-1, 6, Bott", "[-1, Bott", "expected [from, number, module, args]"},
      Mistake{"[None, 2,", "[7, 2,", "expected None, got 7"},
      Mistake{"'nearest'", "cubic", "expected nearest, got cubic"},
      Mistake{"[nc, anchors]", "[nc, boxes]", "the word anchors"},
      Mistake{"[10,13, 16,30]", "[10,13, 16]", "pairs"},
      Mistake{"[10,13, 16,30]", "[10,13, 16,-30]", "above 0"},
      Mistake{"- [10,13, 16,30]", "- [1, 1]\n  - [2, 2]", "each of 1 levels, got 2"},
      Mistake{"Detect, [nc, anchors]", "Concat, [1]", "expected Detect as the last row"},
      Mistake{"[[[-1], 1", "[[[-2], 1", "row 2 (nn.Upsample, line 11): no later row uses it"},
      Mistake{"width_multiple", "width_mutiple", "unknown key width_mutiple"},
      Mistake{"width_multiple: 0.5", "width_multiple: 1e999", "width_multiple: expected a number"},
      Mistake{"width_multiple: 0.5", "width_multiple: nan", "width_multiple: expected a number"},
      Mistake{"nc: 3", "nc: 3.5", "nc: expected a number of 1 to 65536, got 3.5"},
      Mistake{"head:", "head: [", "small:"},
      Mistake{"backbone:", "back: &a [*a]\nbackbone:", "small:"});
  CAPTURE(m.from, m.to);
  REQUIRE_THAT(error_of(changed(m.from, m.to)), Catch::Contains(m.says));
}

TEST_CASE("detector table: networks beyond all measure are refused", "[unit]") {
  std::string rows;
  const auto with = [&](const std::string& row, int times) {
    std::string text = "backbone:\n";
    for (int i = 0; i < times; ++i) text += row;
    return error_of(text + "head:\n  - [[-1], 1, Detect, [nc]]\n");
  };
  REQUIRE_THAT(with("  - [[-1, -1], 1, Concat, [1]]\n", 100), !Catch::Contains("none"));
  REQUIRE_THAT(with("  - [-1, 1, nn.Upsample, [None, 64]]\n", 50), Catch::Contains("65536"));
  REQUIRE_THAT(with("  - [-1, 1000, Conv, [65536, 64]]\n", 900), Catch::Contains("2^40"));
  REQUIRE_THAT(with("  - [-1, 100, C2f, [64]]\n", 1), Catch::Contains("1 to 16 values"));
  REQUIRE_THAT(with("  - [-1, 1, Conv, [8, 3, 2]]\n", 20), !Catch::Contains("none"));
  REQUIRE_THAT(with("  - [-1, 1, Conv, [8]]\n", 1001), Catch::Contains("1000 rows"));
  REQUIRE_THAT(error_of(std::string((1U << 20U) + 1, '#')), Catch::Contains("1 MiB"));
  REQUIRE_THAT(error_of(std::string(100000, '[')), Catch::Contains("small"));
  REQUIRE_THAT(error_of(""), Catch::Contains("expected a map"));
}

TEST_CASE("detector table: bytes at random give a detector or an error", "[unit]") {
  const std::string table = *builtin_table("pico");
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    std::string text =
        table.substr(0, random.chance(0.2) ? random.below(table.size()) : table.size());
    for (std::uint64_t i = 0; i < 1 + random.below(6) && !text.empty(); ++i) {
      constexpr std::string_view kPieces = "[]{}:,-&*!|>'\"#%@`0123456789 \n\tNCcan\x01\xff";
      text[random.below(text.size())] = kPieces[random.below(kPieces.size())];
    }
    try {
      const Detector detector(parse_detector_table(text, "noise"), 2, 64, 64);
    } catch (const Error& error) {
      REQUIRE(std::string(error.what()).starts_with("noise"));
    }
  }
}

}  // namespace ps::nn
