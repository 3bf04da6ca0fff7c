// psbench's own processes: a job of psbench itself under psrun.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ops/config.h"

namespace psbench {

// The configuration as this process's environment gives it; the flags are the bench's own.
class JobArguments {
 public:
  explicit JobArguments(const std::vector<std::string>& more = {});
  JobArguments(const JobArguments&) = delete;
  JobArguments& operator=(const JobArguments&) = delete;
  [[nodiscard]] ps::ops::Config config();
  [[nodiscard]] int count() const { return static_cast<int>(pointers_.size()); }
  [[nodiscard]] char** values() { return pointers_.data(); }

 private:
  std::vector<std::string> texts_;
  std::vector<char*> pointers_;
};

class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Job {
  std::uint32_t workers = 1;
  std::uint32_t servers = 1;
  std::string transport = "ipc";
};
// Runs psbench with `arguments` in every process of a job; its exit code, or 128 + signal. Throws
// std::system_error if psrun is not beside psbench.
int run_job(const Job& job, const std::vector<std::string>& arguments);

}  // namespace psbench
