// psrun's command line.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "ops/config.h"

namespace ps::psrun {

enum class ColorMode { kAuto, kAlways, kNever };

struct Options {
  std::size_t workers = 1;
  std::size_t servers = 1;
  std::string transport = "ipc";  // as transport.kind
  std::string config_file;        // absolute; empty: none
  std::string trace;              // likewise: observe.trace
  Duration grace = std::chrono::seconds(4);
  Duration kill_after = Duration::zero();  // zero: no limit
  ColorMode color = ColorMode::kAuto;
  bool dry_run = false;
  bool progress_set = false;  // the user chose observe.progress
  std::vector<std::string> program;
  ops::Environment environment;  // psrun's own
};

struct Exit {
  int code;
};

// What psrun is to do, or the code to end with at once: 0 after --help, 2 after a text on standard
// error that says what is wrong.
std::variant<Options, Exit> parse_options(int argc,
                                          const char* const* argv,
                                          ops::Environment environment);

}  // namespace ps::psrun
