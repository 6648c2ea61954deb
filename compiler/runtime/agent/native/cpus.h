// The CPUs that this process may use.
#pragma once

#include <vector>

namespace edgetune {

std::vector<int> usable_cpus();

// Physical cores among them, at most what the control groups around this process allow (as targets/cpuinfo.py).
int usable_cores();

// Those for `threads` threads, one per physical core first (as compiler/runtime/threads.py). Throws Error where there are
// fewer.
std::vector<int> compute_cpus(int threads);

}  // namespace edgetune
