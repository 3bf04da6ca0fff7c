// Numbers as text and back, whatever the locale.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ps::vision {

// Five significant digits, as printf's %.5g writes them in the C locale.
std::string short_text(double value);
// The whole of `text` as a number ("nan" and "inf" are numbers too), else nothing.
std::optional<double> parse_number(std::string_view text);

}  // namespace ps::vision
