#include "plan.h"

namespace ps::psrun {
namespace {

const char* role_name(ops::ProcessRole role) {
  switch (role) {
    case ops::ProcessRole::kScheduler:
      return "scheduler";
    case ops::ProcessRole::kServer:
      return "server";
    case ops::ProcessRole::kWorker:
    case ops::ProcessRole::kAlone:
      break;
  }
  return "worker";
}

// As a shell would read it back.
std::string shell_quoted(const std::string& text) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace

std::vector<Process> plan_processes(const Options& options) {
  using ops::ProcessRole;
  std::vector<Process> processes{{ProcessRole::kScheduler, 0, "scheduler"}};
  for (std::size_t i = 0; i < options.servers; ++i) {
    processes.push_back({ProcessRole::kServer, i, "server " + std::to_string(i)});
  }
  for (std::size_t i = 0; i < options.workers; ++i) {
    processes.push_back({ProcessRole::kWorker, i, "worker " + std::to_string(i)});
  }
  return processes;
}

std::vector<std::string> job_variables(const Options& options,
                                       const Job& job,
                                       const Process& process) {
  const bool scheduler = process.role == ops::ProcessRole::kScheduler;
  std::vector<std::string> variables{
      std::string("PS_CLUSTER_ROLE=") + role_name(process.role),
      "PS_CLUSTER_INDEX=" + std::to_string(process.index),
      "PS_CLUSTER_WORKERS=" + std::to_string(options.workers),
      "PS_CLUSTER_SERVERS=" + std::to_string(options.servers),
      "PS_CLUSTER_JOB_ID=" + job.id,
      "PS_CLUSTER_LIFELINE_FD=" + std::to_string(kLifelineFd),
      "PS_TRANSPORT_KIND=" + options.transport,
      "PS_TRANSPORT_DIRECTORY=" + job.directory,
  };
  // The scheduler chooses its own endpoint: kind, host and directory say which.
  variables.push_back(scheduler ? "PS_CLUSTER_REPORT_FD=" + std::to_string(kReportFd)
                                : "PS_CLUSTER_SCHEDULER=" + job.endpoint);
  if (!options.trace.empty()) variables.push_back("PS_OBSERVE_TRACE=" + options.trace);
  if (!options.config_file.empty()) variables.push_back("PS_CONFIG=" + options.config_file);
  if (!options.progress_set) {
    const bool first = process.role == ops::ProcessRole::kWorker && process.index == 0;
    const std::string shown = job.live ? "live" : "plain";
    variables.push_back("PS_OBSERVE_PROGRESS=" + (first ? shown : "off"));
  }
  return variables;
}

std::vector<std::string> full_environment(const Options& options,
                                          const Job& job,
                                          const Process& process) {
  ops::Environment environment = options.environment;
  for (const auto& variable : job_variables(options, job, process)) {
    const std::size_t equals = variable.find('=');
    environment.variables[variable.substr(0, equals)] = variable.substr(equals + 1);
  }
  std::vector<std::string> all;
  all.reserve(environment.variables.size());
  for (const auto& [name, value] : environment.variables) {
    all.push_back(name);
    all.back().append("=").append(value);
  }
  return all;
}

std::string describe(const Options& options) {
  std::string command;
  for (const auto& argument : options.program) command += ' ' + shell_quoted(argument);
  const Job job{.id = "(random)", .directory = "(private)", .endpoint = "(reported)"};
  std::string text;
  for (const auto& process : plan_processes(options)) {
    text += "# " + process.name + '\n';
    for (const auto& variable : job_variables(options, job, process)) {
      text += shell_quoted(variable) + ' ';
    }
    text += "\\\n " + command + '\n';
  }
  return text;
}

}  // namespace ps::psrun
