// The arguments of a table's row, read one after another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ps/nn/detector.h>

namespace ps::nn {

struct Limits {
  std::int64_t least = 1;
  std::int64_t most = 1;
};

// Throws kInvalidArgument, saying which argument. "None", or too few of them: the default.
class RowArguments {
 public:
  explicit RowArguments(const std::vector<std::string>& values) : values_(values) {}

  std::int64_t integer(const char* what, const Limits& limits, std::optional<std::int64_t> other);
  bool boolean(const char* what, bool other);
  double share(const char* what, double other);  // above 0, at most 4
  std::string text(const std::string& other);
  [[nodiscard]] bool done() const noexcept { return next_ >= values_.size(); }
  // None is left.
  void finish() const;

 private:
  // The next one; null: the default.
  const std::string* next();
  [[noreturn]] void fail(const char* what, const std::string& expected) const;

  const std::vector<std::string>& values_;
  std::size_t next_ = 0;
};

}  // namespace ps::nn
