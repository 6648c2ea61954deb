// What every process that the agent forks does first.
#pragma once

#include <sys/types.h>

namespace edgetune {

// Signals act as usual again, and Linux ends this process when `parent`, its agent, ends, be it by kill -9.
void become_child(pid_t parent);

}  // namespace edgetune
