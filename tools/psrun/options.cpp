#include "options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>

#include <ps/error.h>

namespace ps::psrun {
namespace {

constexpr int kUsage = 2;

constexpr const char* kDescription =
    "Runs a ps program on this host as one scheduler, some servers and some workers.\n"
    "All of them are the same PROGRAM; each finds its role in its environment.";

constexpr const char* kFooter =
    "Examples:\n"
    "  psrun -n 4 -s 2 -- ./train --epochs 10        4 workers and 2 servers\n"
    "  psrun -n 2 --config job.toml -- ./train       with a configuration file\n"
    "  psrun -n 2 -- ./train --consistency.mode=ssp  keys are flags of the program, too\n"
    "  PS_JOB_SEED=7 psrun -n 2 -- ./train           ... and variables\n"
    "  psrun -n 2 --dry-run -- ./train               shows what would be started\n"
    "  psrun -n 2 --config job.toml --print-config   shows what is in force, and from where\n"
    "  ./train --help-config                         lists all keys\n"
    "\n"
    "Each line of output is marked with the process that wrote it. The last line of JSON on\n"
    "worker 0's standard output comes last and unmarked, so that a script can read it.\n"
    "The first process that fails ends the job. Exit codes: 0 all went well; the first failed\n"
    "process's own code, or 128 + its signal; 2 bad usage; 124 --kill-after; 127 PROGRAM not "
    "found;\n"
    "130, 143 psrun got SIGINT, SIGTERM.";

class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* /*app*/, std::string /*name*/) const override {
    return "Usage: psrun [OPTIONS] -- PROGRAM [ARGUMENTS...]\n";
  }
};

struct Flags {
  std::optional<std::size_t> workers;
  std::optional<std::size_t> servers;
  std::string transport;
  std::string config;
  std::string trace;
  double grace_s = 4;
  double kill_after_s = 0;
  std::string color = "auto";
  bool dry_run = false;
  bool print_config = false;
};

void declare(CLI::App& app, Flags& flags) {
  app.formatter(std::make_shared<HelpFormatter>());
  app.footer(kFooter);
  app.add_option("-n,--workers", flags.workers, "Workers (default: cluster.workers, 1)")
      ->option_text("N")
      ->check(CLI::Range(1, 1 << 16));
  app.add_option("-s,--servers", flags.servers, "Server processes (default: cluster.servers, 1)")
      ->option_text("N")
      ->check(CLI::Range(1, 1 << 12));
  app.add_option("--transport", flags.transport,
                 "How messages travel: ipc, tcp or shm (default: transport.kind, shm)")
      ->option_text("KIND")
      ->check(CLI::IsMember({"ipc", "tcp", "shm"}));
  app.add_option("--config", flags.config, "TOML file for psrun and all processes")
      ->option_text("FILE");
  app.add_option("--trace", flags.trace,
                 "Record what every process does when, for ui.perfetto.dev (observe.trace)")
      ->option_text("FILE");
  app.add_option("--grace", flags.grace_s,
                 "What processes get to end by themselves before SIGTERM (default: 4)")
      ->option_text("SECONDS")
      ->check(CLI::Range(0.0, 86400.0));
  app.add_option("--kill-after", flags.kill_after_s,
                 "End the job then, whatever it does (default: 0, never)")
      ->option_text("SECONDS")
      ->check(CLI::Range(0.0, 1e8));
  app.add_option("--color", flags.color, "Colour the marks: auto, always or never (default: auto)")
      ->option_text("WHEN")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  app.add_flag("--print-config", flags.print_config,
               "Print the configuration in force, and where each value comes from, and end");
  app.add_flag("--dry-run", flags.dry_run, "Print what would be started, and end");
}

Duration seconds_of(double value) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value));
}

// The transport's name once auto is decided: processes of one host share memory.
std::string transport_of(const ops::Config& config) {
  switch (config.transport.kind) {
    case ops::TransportKind::kTcp:
      return "tcp";
    case ops::TransportKind::kIpc:
      return "ipc";
    case ops::TransportKind::kInproc:
      throw Error(ErrorCode::kInvalidArgument,
                  "transport.kind = inproc is for one process: expected ipc, tcp or shm");
    case ops::TransportKind::kAuto:
    case ops::TransportKind::kShm:
      break;
  }
  return "shm";
}

// The configuration as every process will read it, before the program's flags.
ops::Config load(const Flags& flags, const ops::Environment& environment) {
  std::vector<std::string> arguments{"psrun"};
  if (!flags.config.empty()) arguments.insert(arguments.end(), {"--config", flags.config});
  if (flags.workers) arguments.push_back("--cluster.workers=" + std::to_string(*flags.workers));
  if (flags.servers) arguments.push_back("--cluster.servers=" + std::to_string(*flags.servers));
  if (!flags.transport.empty()) arguments.push_back("--transport.kind=" + flags.transport);
  if (!flags.trace.empty()) arguments.push_back("--observe.trace=" + flags.trace);
  std::vector<const char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  std::vector<std::string> rest;
  return ops::load_config(static_cast<int>(pointers.size()), pointers.data(), rest, environment);
}

// A mistake in the configuration is told here, once and early.
Options resolve(const Flags& flags, ops::Environment environment) {
  // What psrun itself says about these, an outer job must not.
  for (const auto& key : {"ROLE", "INDEX", "SCHEDULER", "JOB_ID", "LIFELINE_FD", "REPORT_FD"}) {
    environment.variables.erase(std::string("PS_CLUSTER_") + key);
  }
  environment.variables.erase("PS_TRANSPORT_DIRECTORY");

  Options options;
  if (!flags.config.empty()) options.config_file = std::filesystem::absolute(flags.config).string();
  const auto config = load(flags, environment);
  options.workers = config.cluster.workers;
  options.servers = config.cluster.servers;
  options.transport = transport_of(config);
  if (!config.observe.trace.empty()) {
    options.trace = std::filesystem::absolute(config.observe.trace).string();
  }
  options.grace = seconds_of(flags.grace_s);
  options.kill_after = seconds_of(flags.kill_after_s);
  options.dry_run = flags.dry_run;
  options.progress_set = config.is_set("observe.progress");
  const bool plain = !environment.get("NO_COLOR").value_or("").empty() ||
                     environment.get("TERM").value_or("") == "dumb";
  if (flags.color == "always") options.color = ColorMode::kAlways;
  if (flags.color == "never" || (flags.color == "auto" && plain)) options.color = ColorMode::kNever;
  options.environment = std::move(environment);
  return options;
}

Exit show_configuration(const Flags& flags, const ops::Environment& environment) {
  try {
    std::cout << ops::print_config(load(flags, environment));
    return {0};
  } catch (const Error& error) {
    std::cerr << "psrun: " << error.what() << '\n';
    return {kUsage};
  }
}

Exit usage_error(const std::string& text) {
  std::cerr << "psrun: " << text << "\npsrun: usage: psrun [OPTIONS] -- PROGRAM [ARGUMENTS...]; "
            << "psrun --help says more\n";
  return {kUsage};
}

}  // namespace

std::variant<Options, Exit> parse_options(int argc,
                                          const char* const* argv,
                                          ops::Environment environment) {
  const auto* const end = argv + argc;
  const auto* const dashes =
      std::find_if(argv, end, [](const char* text) { return std::strcmp(text, "--") == 0; });
  Flags flags;
  CLI::App app(kDescription, "psrun");
  declare(app, flags);
  try {
    app.parse(static_cast<int>(dashes - argv), argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return Exit{0};
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what());
  }
  if (flags.print_config) return show_configuration(flags, environment);
  if (dashes == end || dashes + 1 == end) {
    return usage_error("expected -- and the program to run, such as: psrun -n 2 -- ./train");
  }
  try {
    Options options = resolve(flags, std::move(environment));
    options.program.assign(dashes + 1, end);
    return options;
  } catch (const Error& error) {
    std::cerr << "psrun: " << error.what() << '\n';
    return Exit{kUsage};
  }
}

}  // namespace ps::psrun
