#include "launch.h"

#include <cerrno>
#include <cstdlib>
#include <spawn.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace psbench {

JobArguments::JobArguments(const std::vector<std::string>& more)
    : texts_{"psbench", "--job.log_level=warn", "--observe.progress=off"} {
  texts_.insert(texts_.end(), more.begin(), more.end());
  for (std::string& text : texts_) pointers_.push_back(text.data());
}

ps::ops::Config JobArguments::config() {
  std::vector<std::string> rest;
  return ps::ops::load_config(count(), pointers_.data(), rest,
                              ps::ops::Environment::from_process());
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "psbench.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), name);
  }
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

int run_job(const Job& job, const std::vector<std::string>& arguments) {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  std::vector<std::string> words{(self.parent_path() / "psrun").string(),
                                 "-n",
                                 std::to_string(job.workers),
                                 "-s",
                                 std::to_string(job.servers),
                                 "--transport",
                                 job.transport,
                                 "--",
                                 self.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t pid = 0;
  const int reason =
      ::posix_spawn(&pid, pointers.front(), nullptr, nullptr, pointers.data(), environ);
  if (reason != 0) {
    throw std::system_error(reason, std::generic_category(),
                            "start " + words.front() + ", which belongs beside psbench");
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace psbench
