#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <limits>
#include <sys/stat.h>

#include <ps/error.h>
#include <ps/safetensors.h>

#include "base/random.h"
#include "ops/temporary_directory.h"
#include "support/catch.h"

namespace ps {
namespace {

using test::TemporaryDirectory;

// What Python's package (0.8.0) writes for a = 0.5, b = [[1, 2, 3], [4, 5, 6]], an empty tensor of
// shape (0, 3), metadata k: v.
const std::string kPythonHeader =
    R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
    R"("b":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]},)"
    R"("empty":{"dtype":"F32","shape":[0,3],"data_offsets":[28,28]}}     )";
const std::array<float, 7> kPythonValues = {0.5F, 1, 2, 3, 4, 5, 6};

std::string bytes_of(std::uint64_t value) {
  const auto bytes = std::bit_cast<std::array<char, 8>>(value);
  return {bytes.begin(), bytes.end()};
}

// A file with this header and so many bytes of data.
std::string document(const std::string& header, std::size_t data_bytes) {
  return bytes_of(header.size()) + header + std::string(data_bytes, '\0');
}

std::string python_file() {
  std::string text = bytes_of(kPythonHeader.size()) + kPythonHeader;
  for (const float value : kPythonValues) {
    const auto bytes = std::bit_cast<std::array<char, 4>>(value);
    text.append(bytes.begin(), bytes.end());
  }
  return text;
}

// "<code>: <text>" of the error, with the directory's path left out; "none" when it loads.
std::string load_error(const std::string& contents) {
  const TemporaryDirectory directory;
  try {
    load_safetensors(directory.write("x", contents));
  } catch (const Error& error) {
    std::string text = error.what();
    const std::size_t path = text.find(directory.path());
    if (path != std::string::npos) text.erase(path, directory.path().size() + 1);
    return std::string(to_string(error.code())) + ": " + text;
  }
  return "none";
}

std::string corrupt(const std::string& why) {
  return "corrupt data: x is not a sound safetensors file: " + why;
}

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_CASE("safetensors: reads what Python wrote", "[unit]") {
  const TemporaryDirectory directory;
  const auto file = load_safetensors(directory.write("x", python_file()));
  CHECK(file.metadata == std::map<std::string, std::string>{{"k", "v"}});
  REQUIRE(file.tensors.size() == 3);
  CHECK(file.tensors[0].name == "a");
  CHECK(file.tensors[0].shape.empty());
  CHECK(file.tensors[0].values == std::vector<float>{0.5F});
  CHECK(file.tensors[1].shape == std::vector<std::int64_t>{2, 3});
  CHECK(file.tensors[1].values == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(file.tensors[2].shape == std::vector<std::int64_t>{0, 3});
  CHECK(file.tensors[2].values.empty());
  CHECK(file.find("b") == &file.tensors[1]);
  CHECK(file.find("c") == nullptr);
}

TEST_CASE("safetensors: writes these bytes", "[unit]") {
  const TemporaryDirectory directory;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const float half = 0.5F;
  const std::vector<NamedTensor> tensors = {{"b", {2, 3}, values}, {"a", {}, {&half, 1}}};
  save_safetensors(directory.file("x"), tensors, {{"k", "v"}});
  const std::string header =
      R"({"__metadata__":{"k":"v"},"a":{"data_offsets":[0,4],"dtype":"F32","shape":[]},)"
      R"("b":{"data_offsets":[4,28],"dtype":"F32","shape":[2,3]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  const std::string data = python_file().substr(8 + kPythonHeader.size());
  CHECK(read_all(directory.file("x")) == bytes_of(padded.size()) + padded + data);
}

TEST_CASE("safetensors: what was saved is loaded, to the bit", "[unit]") {
  const TemporaryDirectory directory;
  const std::vector<float> odd = {-0.0F, std::numeric_limits<float>::infinity(),
                                  std::numeric_limits<float>::denorm_min(),
                                  std::bit_cast<float>(0x7FC12345U)};
  const std::vector<NamedTensor> tensors = {
      {"gewicht é \"\\", {1, 4}, odd}, {"", {4}, odd}, {"none", {7, 0}, {}}};
  save_safetensors(directory.file("x"), tensors, {{"", "line\nline"}});
  const auto file = load_safetensors(directory.file("x"));
  CHECK(file.metadata == std::map<std::string, std::string>{{"", "line\nline"}});
  REQUIRE(file.tensors.size() == 3);
  for (const auto& tensor : tensors) {
    const auto* loaded = file.find(tensor.name);
    REQUIRE(loaded != nullptr);
    CHECK(loaded->shape == tensor.shape);
    CHECK(
        std::ranges::equal(std::as_bytes(std::span(loaded->values)), std::as_bytes(tensor.values)));
  }
}

TEST_CASE("safetensors: no tensors and no metadata are a file, too", "[unit]") {
  const TemporaryDirectory directory;
  save_safetensors(directory.file("x"), {});
  CHECK(read_all(directory.file("x")) == bytes_of(8) + "{}      ");
  CHECK(load_safetensors(directory.file("x")).tensors.empty());
}

TEST_CASE("safetensors: a file is replaced whole or not at all", "[unit]") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("x", "old");
  const std::vector<float> values = {1};
  CHECK_THROWS_AS(save_safetensors(path, std::vector<NamedTensor>{{"a", {2}, values}}), Error);
  CHECK(read_all(path) == "old");
  std::filesystem::create_directory(directory.file("in the way"));
  CHECK_THROWS_AS(
      save_safetensors(directory.file("in the way"), std::vector<NamedTensor>{{"a", {1}, values}}),
      Error);
  save_safetensors(path, std::vector<NamedTensor>{{"a", {1}, values}});
  CHECK(load_safetensors(path).tensors.size() == 1);
  const auto left = std::distance(std::filesystem::directory_iterator(directory.path()), {});
  CHECK(left == 2);  // no temporary file
}

TEST_CASE("safetensors: misuse is refused before a file is touched", "[unit]") {
  const TemporaryDirectory directory;
  const std::vector<float> values = {1, 2};
  const auto error = [&](const std::vector<NamedTensor>& tensors) {
    try {
      save_safetensors(directory.file("x"), tensors);
    } catch (const Error& caught) {
      CHECK(caught.code() == ErrorCode::kInvalidArgument);
      return std::string(caught.what());
    }
    return std::string("none");
  };
  CHECK(error({{"a", {3}, values}}) ==
        "save_safetensors: tensor 'a': shape [3] does not fit 2 values");
  CHECK(error({{"a", {-1, -2}, values}}) ==
        "save_safetensors: tensor 'a': shape [-1, -2] does not fit 2 values");
  CHECK(error({{"a", {1LL << 62, 4, 2}, values}}) ==
        "save_safetensors: tensor 'a': shape [4611686018427387904, 4, 2] does not fit 2 values");
  CHECK(error({{"a", {2}, values}, {"a", {2}, values}}) ==
        "save_safetensors: tensor 'a': there are two of this name");
  CHECK(error({{"__metadata__", {2}, values}}) ==
        "save_safetensors: tensor '__metadata__': the format keeps this name");
  CHECK(error({{"\xff", {2}, values}}) == "save_safetensors: tensor '?': the name is not UTF-8");
  CHECK_THROWS_AS(save_safetensors(directory.file("x"), {}, {{"k", "\xff"}}), Error);
  CHECK(std::filesystem::is_empty(directory.path()));
  CHECK_THROWS_WITH(save_safetensors("/nowhere/x", {}),
                    Catch::StartsWith("cannot create /nowhere/x") &&
                        Catch::EndsWith("No such file or directory"));
}

TEST_CASE("safetensors: other types are refused by name", "[unit]") {
  CHECK(load_error(document(R"({"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})", 4)) ==
        "invalid argument: x: tensor 'w' is of type BF16; only F32 can be read: convert it first");
}

TEST_CASE("safetensors: what cannot be read is an error with the reason", "[unit]") {
  const TemporaryDirectory directory;
  CHECK_THROWS_WITH(load_safetensors("/nowhere"),
                    "cannot open /nowhere: No such file or directory");
  CHECK_THROWS_WITH(load_safetensors(directory.path()), Catch::Contains("not a regular file"));
  REQUIRE(mkfifo(directory.file("fifo").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(load_safetensors(directory.file("fifo")),
                    Catch::Contains("not a regular file"));
}

TEST_CASE("safetensors: a header that lies about its length is refused", "[unit]") {
  CHECK(load_error("") == corrupt("shorter than 8 bytes"));
  CHECK(load_error("1234567") == corrupt("shorter than 8 bytes"));
  CHECK(load_error(bytes_of(3) + "{}") == corrupt("a header of 3 bytes; expected at most 2"));
  CHECK(load_error(bytes_of(std::numeric_limits<std::uint64_t>::max()) + "{}") ==
        corrupt("a header of 18446744073709551615 bytes; expected at most 2"));
}

TEST_CASE("safetensors: a header that is not the expected JSON is refused", "[unit]") {
  const auto why = [](const std::string& header) { return load_error(document(header, 0)); };
  CHECK(why("[]") == corrupt("the header is not a JSON object"));
  CHECK_THAT(why(""), Catch::StartsWith(corrupt("the header is not JSON as expected: ")));
  CHECK_THAT(why("{} {}"), Catch::StartsWith(corrupt("the header is not JSON as expected: ")));
  CHECK_THAT(why(std::string(100000, '[')),
             Catch::StartsWith(corrupt("the header is not JSON as expected: ")));
  CHECK(why(R"({"a":1})") == corrupt("tensor 'a': expected an object"));
  CHECK(why(R"({"a":{}})") == corrupt("tensor 'a': has no dtype"));
  CHECK(why(R"({"a":{"dtype":"F32","shape":[0]}})") == corrupt("tensor 'a': has no data_offsets"));
  CHECK(why(R"({"a":{"dtype":1,"shape":[0],"data_offsets":[0,0]}})") ==
        corrupt("tensor 'a': expected a dtype, a shape and two data_offsets"));
  CHECK(why(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0]}})") ==
        corrupt("tensor 'a': expected a dtype, a shape and two data_offsets"));
  CHECK(why(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}})") ==
        corrupt("tensor 'a': a dimension that is not a whole number"));
  CHECK(why(R"({"a":{"dtype":"F32","shape":[0.5],"data_offsets":[0,0]}})") ==
        corrupt("tensor 'a': a dimension that is not a whole number"));
  CHECK(why(R"({"__metadata__":[]})") == corrupt("__metadata__ is not an object"));
  CHECK(why(R"({"__metadata__":{"k":1}})") ==
        corrupt("__metadata__ holds something that is not text"));
  const std::string empty = R"("a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  CHECK_THAT(why("{" + empty + "," + empty + "}"), Catch::Contains("twice"));
}

TEST_CASE("safetensors: offsets must fit the shape, each other and the file", "[unit]") {
  const auto tensor = [](const std::string& name, const std::string& shape,
                         const std::string& offsets) {
    return "\"" + name + R"(":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets +
           "}";
  };
  const auto why = [](const std::string& tensors, std::size_t data_bytes) {
    return load_error(document("{" + tensors + "}", data_bytes));
  };
  CHECK(why(tensor("a", "[2]", "[0,4]"), 4) ==
        corrupt("tensor 'a': shape [2] does not fit 4 bytes"));
  CHECK(why(tensor("a", "[1]", "[4,0]"), 4) ==
        corrupt("tensor 'a': data_offsets that are not a range"));
  CHECK(why(tensor("a", "[1]", "[0,4]"), 5) == corrupt("tensors take 4 bytes, but the file has 5"));
  CHECK(why(tensor("a", "[1]", "[0,4]"), 3) == corrupt("tensors take 4 bytes, but the file has 3"));
  CHECK(why(tensor("a", "[1]", "[0,4]") + "," + tensor("b", "[1]", "[0,4]"), 4) ==
        corrupt("tensor 'b' begins at byte 0, expected 4 (an overlap)"));
  CHECK(why(tensor("a", "[1]", "[0,4]") + "," + tensor("b", "[1]", "[8,12]"), 12) ==
        corrupt("tensor 'b' begins at byte 8, expected 4 (a gap)"));
  CHECK(why(tensor("a", "[4611686018427387904,4]", "[0,0]"), 0) ==
        corrupt("tensor 'a': shape [4611686018427387904, 4] does not fit 0 bytes"));
  CHECK(why(tensor("a", "[1152921504606846976]", "[0,4611686018427387904]"), 0) ==
        corrupt("tensors take 4611686018427387904 bytes, but the file has 0"));
  CHECK(why(tensor("b", "[1]", "[0,4]") + "," + tensor("a", "[1]", "[4,8]"), 8) == "none");
}

TEST_CASE("safetensors: damaged files are refused or read, never worse", "[unit]") {
  const std::string whole = python_file();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(load_error(whole.substr(0, size)) != "none");
  }
  const TemporaryDirectory directory;
  const std::uint64_t seed = GENERATE(1U, 2U, 3U);
  CAPTURE(seed);
  Random random(seed);
  for (int i = 0; i < 500; ++i) {
    std::string damaged = whole;
    const auto at = static_cast<std::size_t>(random.below(damaged.size()));
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random.below(8)));
    const std::string path = directory.write("x", damaged);
    try {
      const auto file = load_safetensors(path);
      std::size_t values = 0;
      for (const auto& tensor : file.tensors) values += tensor.values.size();
      CHECK(values == kPythonValues.size());
    } catch (const Error& error) {
      CHECK((error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kInvalidArgument));
    }
  }
}

}  // namespace
}  // namespace ps
