// The process that keeps a session's processes together.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

namespace edgetune {

// Become the keeper of the process that `start` forks (and returns): wait until it has ended, or until `agent`, this
// process's parent, has ended or sends SIGTERM. Then kill whatever is left of it and of all that it has started or that
// works in `folder`, and end as it did.
[[noreturn]] void keep(pid_t agent, const std::string& folder, const std::function<pid_t()>& start);

}  // namespace edgetune
