// Where a run writes: runs/train/exp, exp2, exp3, ...
#pragma once

#include <optional>
#include <string>

namespace detect {

// Makes project/name, or the first of project/name2, name3, ... that is not there (exist_ok:
// project/name whatever is in it). Throws ps::Error(kIo).
std::string make_run_folder(const std::string& project, const std::string& name, bool exist_ok);

// The newest weights/last.safetensors of a run below `project`; nothing where there is none.
std::optional<std::string> newest_checkpoint(const std::string& project);

}  // namespace detect
