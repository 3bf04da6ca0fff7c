// psrun: runs a ps program as scheduler, servers and workers on this host. psrun --help says how.
#include <cerrno>
#include <iostream>
#include <system_error>

#include "launcher.h"

namespace {

constexpr int kCannotRun = 126;
constexpr int kNotFound = 127;

int run(const ps::psrun::Options& options) {
  if (options.dry_run) {
    std::cout << ps::psrun::describe(options);
    return 0;
  }
  try {
    return ps::psrun::Launcher(options).run();
  } catch (const std::system_error& error) {
    const bool missing = error.code().value() == ENOENT;
    std::cerr << "psrun: cannot start: " << error.what()
              << (missing ? " (a program in this directory is written ./NAME)" : "") << '\n';
    return missing ? kNotFound : kCannotRun;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = ps::psrun::parse_options(argc, argv, ps::ops::Environment::from_process());
  if (const auto* exit = std::get_if<ps::psrun::Exit>(&parsed)) return exit->code;
  return run(std::get<ps::psrun::Options>(parsed));
}
