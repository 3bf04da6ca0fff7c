// Replays the fuzzers' corpus, so that every build holds what fuzzing has found, without clang.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fuzz/targets.h"
#include "support/catch.h"

namespace ps::fuzz {
namespace {

namespace fs = std::filesystem;

fs::path folder(const Target& target) {
  return fs::path(PS_CORPUS_DIR) / target.name;
}

std::vector<std::byte> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST_CASE("fuzz: every input of the corpus passes its target", "[unit]") {
  for (const Target& target : kTargets) {
    std::size_t inputs = 0;
    for (const auto& entry : fs::directory_iterator(folder(target))) {
      UNSCOPED_INFO(entry.path());  // the targets abort: this is for exceptions
      target.run(read_file(entry.path()));
      ++inputs;
    }
    CHECK(inputs >= seeds(target.name).size());
  }
}

TEST_CASE("fuzz: the corpus has the seeds that today's encoders make", "[unit]") {
  for (const Target& target : kTargets) {
    for (const auto& [name, bytes] : seeds(target.name)) {
      CAPTURE(target.name, name, "run ps_unit_tests \"fuzz: write the seeds\"");
      CHECK(read_file(folder(target) / name) == bytes);
    }
  }
}

TEST_CASE("fuzz: write the seeds", "[.]") {
  for (const Target& target : kTargets) {
    fs::create_directories(folder(target));
    for (const auto& [name, bytes] : seeds(target.name)) {
      std::ofstream file(folder(target) / name, std::ios::binary);
      file.write(reinterpret_cast<const char*>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
      CHECK(file.good());
    }
  }
}

}  // namespace
}  // namespace ps::fuzz
