// The choice of the instruction set.
#include "kernels/isa.h"

#include <string>

#include "support/catch.h"

namespace ps::kernels {

TEST_CASE("isa: the scalar path is always there and comes first", "[unit]") {
  REQUIRE(available(Isa::kScalar));
  REQUIRE(available_isas().front() == Isa::kScalar);
}

TEST_CASE("isa: the best one is the last of the available ones", "[unit]") {
  REQUIRE(best_isa() == available_isas().back());
  for (const Isa isa : available_isas()) REQUIRE(available(isa));
  CAPTURE(to_string(best_isa()));
  REQUIRE(std::string(to_string(best_isa())) != "unknown");
}

}  // namespace ps::kernels
