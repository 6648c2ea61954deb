#include "cpus.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>

#include "error.h"
#include "text.h"

namespace edgetune {

namespace {

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

// What names the physical core that a CPU belongs to.
std::string core_of(int cpu) {
  const std::string topology = format("/sys/devices/system/cpu/cpu%d/topology/", cpu);
  for (const char* name : {"core_cpus_list", "thread_siblings_list"})
    if (const auto siblings = read_line(topology + name)) return *siblings;
  return std::to_string(cpu);
}

// CPUs' worth of time that one control group allows, of version 2 or 1.
double quota_in(const std::string& folder) {
  const auto limit = read_line(folder + "/cpu.max").value_or("");
  const auto words = words_of(limit);
  if (words.size() == 2) {
    const auto quota = parse_number(words[0]), period = parse_number(words[1]);
    return quota && period && *period > 0 ? *quota / *period : kUnlimited;
  }
  const auto quota = read_number(folder + "/cpu.cfs_quota_us"), period = read_number(folder + "/cpu.cfs_period_us");
  return quota && period && *quota > 0 && *period > 0 ? *quota / *period : kUnlimited;
}

// The least that the control groups around this process allow.
double quota() {
  double least = kUnlimited;
  const std::string groups = read_file("/proc/self/cgroup", 1 << 16).value_or("");
  for (std::size_t begin = 0; begin < groups.size();) {
    const std::size_t end = std::min(groups.find('\n', begin), groups.size());
    const std::string line = groups.substr(begin, end - begin);  // "NUMBER:CONTROLLERS:/GROUP"
    begin = end + 1;
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string base = "/sys/fs/cgroup", group = line.substr(second + 1);
    if (controllers.find(",cpu,") != std::string::npos)
      base += "/cpu";
    else if (controllers != ",,")
      continue;
    for (; !group.empty() && group != "/"; group.erase(group.rfind('/'))) least = std::min(least, quota_in(base + group));
    least = std::min(least, quota_in(base));
  }
  return least;
}

}  // namespace

std::vector<int> usable_cpus() {
  // Asked once: a library that was measured leaves the thread that called it on one CPU.
  static const std::vector<int> known = [] {
    std::vector<int> cpus;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
      for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    if (cpus.empty()) cpus.push_back(0);
    return cpus;
  }();
  return known;
}

int usable_cores() {
  std::set<std::string> cores;
  for (const int cpu : usable_cpus()) cores.insert(core_of(cpu));
  const double allowed = std::max(1.0, std::floor(quota()));
  return static_cast<int>(std::min(static_cast<double>(cores.size()), allowed));
}

std::vector<int> compute_cpus(int threads) {
  const std::vector<int> allowed = usable_cpus();
  if (threads < 1 || threads > static_cast<int>(allowed.size()))
    throw Error(format("%d threads were asked for, and this process may use 1 to %zu CPUs", threads, allowed.size()));
  std::set<std::string> cores;
  std::vector<int> first, siblings;
  for (const int cpu : allowed) {
    const bool is_new = cores.insert(core_of(cpu)).second;
    (is_new ? first : siblings).push_back(cpu);
  }
  first.insert(first.end(), siblings.begin(), siblings.end());
  first.resize(static_cast<std::size_t>(threads));
  std::sort(first.begin(), first.end());
  return first;
}

}  // namespace edgetune
