// The processes that the agent forks: what each does first, and how they are found.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace edgetune {

// The processes whose parent is `parent`, those included that have ended and were not waited for.
std::vector<pid_t> children_of(pid_t parent);

// The processes that work in `folder` or below it.
std::vector<pid_t> processes_in(const std::string& folder);

// Signals act as usual again, and Linux sends `signal_at_end` to this process when `parent`, its parent, ends, be it by
// kill -9.
void become_child(pid_t parent, int signal_at_end);

}  // namespace edgetune
