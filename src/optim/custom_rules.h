// The update rules that the program registered (<ps/update_rule.h>), by name.
#pragma once

#include <memory>
#include <string>

#include <ps/update_rule.h>

namespace ps::optim {

// Throws ps::Error(kInvalidArgument), naming the registered ones, for a name that is not among
// them. Any thread may call it.
std::shared_ptr<const UpdateRule> find_update_rule(const std::string& name);

}  // namespace ps::optim
