// What a job consists of: its processes and what each finds in its environment.
#pragma once

#include <string>
#include <vector>

#include "options.h"

namespace ps::psrun {

// Descriptors in every process.
inline constexpr int kLifelineFd = 3;  // end of file: psrun is gone
inline constexpr int kReportFd = 4;    // the scheduler's endpoint goes here

struct Process {
  ops::ProcessRole role;
  std::size_t index;  // within its role
  std::string name;   // "worker 1"
};

// The scheduler first, then servers, then workers.
std::vector<Process> plan_processes(const Options& options);

struct Job {
  std::string id;         // 32 hexadecimal digits
  std::string directory;  // private, for sockets
  std::string endpoint;   // the scheduler's; empty until it has reported it
  bool live = false;      // progress of worker 0 is shown on a terminal
};

// Variables that psrun sets for `process`, each "NAME=value".
std::vector<std::string> job_variables(const Options& options,
                                       const Job& job,
                                       const Process& process);

// psrun's environment with job_variables() in place of those of the same names.
std::vector<std::string> full_environment(const Options& options,
                                          const Job& job,
                                          const Process& process);

// What --dry-run prints.
std::string describe(const Options& options);

}  // namespace ps::psrun
