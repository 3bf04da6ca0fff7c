// psrun: runs a ps program as scheduler, servers and workers on this host. psrun --help says how.
#include <algorithm>
#include <cerrno>
#include <iostream>
#include <system_error>
#include <unistd.h>

#include "base/trace.h"
#include "launcher.h"
#include "plan.h"

namespace {

constexpr int kCannotRun = 126;
constexpr int kNotFound = 127;

// With these flags the program prints something and ends: one process of it is enough.
bool only_prints(const ps::psrun::Options& options) {
  return std::ranges::any_of(options.program, [](const std::string& argument) {
    return argument == "--print-config" || argument == "--help-config";
  });
}

[[noreturn]] void become_worker(const ps::psrun::Options& options) {
  const ps::psrun::Process worker{ps::ops::ProcessRole::kWorker, 0, "worker 0"};
  std::vector<std::string> program = options.program;
  const ps::psrun::Job job{
      .id = std::string(32, '0'), .directory = "(private)", .endpoint = "(reported)"};
  std::vector<std::string> variables = full_environment(options, job, worker);
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (auto& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
  };
  execvpe(program.front().c_str(), pointers(program).data(), pointers(variables).data());
  throw std::system_error(errno, std::generic_category(), program.front());
}

int run(const ps::psrun::Options& options) {
  if (options.dry_run) {
    std::cout << ps::psrun::describe(options);
    return 0;
  }
  try {
    if (only_prints(options)) become_worker(options);
    const int code = ps::psrun::Launcher(options).run();
    if (!options.trace.empty()) ps::trace::finish(options.trace);
    return code;
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
