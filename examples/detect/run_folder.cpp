#include "run_folder.h"

#include <filesystem>
#include <system_error>

#include <ps/error.h>

namespace detect {

namespace fs = std::filesystem;

std::string make_run_folder(const std::string& project, const std::string& name, bool exist_ok) {
  std::error_code error;
  fs::create_directories(project, error);
  for (int number = 1; !error; ++number) {
    const fs::path folder =
        fs::path(project) / (number == 1 ? name : name + std::to_string(number));
    // create_directory tells atomically who was first.
    if (fs::create_directory(folder, error) || (exist_ok && !error)) return folder.string();
  }
  throw ps::Error(ps::ErrorCode::kIo, project + ": cannot make a folder: " + error.message());
}

std::optional<std::string> newest_checkpoint(const std::string& project) {
  std::error_code error;
  std::optional<std::string> newest;
  fs::file_time_type when;
  for (const auto& run : fs::directory_iterator(project, error)) {
    const fs::path last = run.path() / "weights" / "last.safetensors";
    const fs::file_time_type written = fs::last_write_time(last, error);
    if (!error && (!newest || written > when)) {
      newest = last.string();
      when = written;
    }
  }
  return newest;
}

}  // namespace detect
