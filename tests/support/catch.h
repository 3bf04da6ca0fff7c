// The one way to Catch2: every test includes this, so that it is precompiled once.
#pragma once

#include <catch2/catch.hpp>
