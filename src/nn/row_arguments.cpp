#include "nn/row_arguments.h"

#include "nn/check.h"
#include "nn/text_value.h"

namespace ps::nn {

const std::string* RowArguments::next() {
  const std::size_t i = next_++;
  return i < values_.size() && values_[i] != "None" ? &values_[i] : nullptr;
}

void RowArguments::fail(const char* what, const std::string& expected) const {
  const std::string got = next_ <= values_.size() ? values_[next_ - 1] : "no more arguments";
  nn::fail(what, "expected " + expected + ", got " + got);
}

std::int64_t RowArguments::integer(const char* what,
                                   const Limits& limits,
                                   std::optional<std::int64_t> other) {
  const std::string* text = next();
  const auto value = text == nullptr ? other : parse_number<std::int64_t>(*text);
  if (!value || *value < limits.least || *value > limits.most) {
    fail(what, std::to_string(limits.least) + " to " + std::to_string(limits.most));
  }
  return *value;
}

bool RowArguments::boolean(const char* what, bool other) {
  const std::string* text = next();
  const auto value = text == nullptr ? other : parse_bool(*text);
  if (!value) fail(what, "True or False");
  return *value;
}

double RowArguments::share(const char* what, double other) {
  const std::string* text = next();
  const auto value = text == nullptr ? other : parse_number<double>(*text);
  if (!value || *value <= 0.0 || *value > 4.0) fail(what, "a number above 0, at most 4");
  return *value;
}

std::string RowArguments::text(const std::string& other) {
  const std::string* text = next();
  return text == nullptr ? other : *text;
}

void RowArguments::finish() const {
  if (next_ >= values_.size()) return;
  nn::fail("arguments",
           "expected at most " + std::to_string(next_) + ", got " + std::to_string(values_.size()));
}

}  // namespace ps::nn
