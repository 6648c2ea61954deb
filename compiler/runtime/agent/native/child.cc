#include "child.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "text.h"

namespace edgetune {

void become_child(pid_t parent, int signal_at_end) {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) signal(number, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, signal_at_end);
  if (getppid() != parent) _exit(1);  // it ended before Linux was told
}

namespace {

std::vector<pid_t> all_processes() {
  std::vector<pid_t> found;
  for (const std::string& name : names_in("/proc"))
    if (const auto process = parse_integer(name, 1, 1LL << 30)) found.push_back(static_cast<pid_t>(*process));
  return found;
}

}  // namespace

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const pid_t process : all_processes()) {
    // "PID (NAME) STATE PPID ...", where NAME may hold anything.
    const std::string stat = read_file(format("/proc/%d/stat", process)).value_or("");
    const std::size_t end = stat.rfind(')');
    if (end == std::string::npos) continue;
    const auto words = words_of(std::string_view(stat).substr(end + 1));
    if (words.size() > 1 && words[1] == std::to_string(parent)) children.push_back(process);
  }
  return children;
}

std::vector<pid_t> processes_in(const std::string& folder) {
  std::vector<pid_t> found;
  for (const pid_t process : all_processes()) {
    char where[4096];
    const ssize_t size = readlink(format("/proc/%d/cwd", process).c_str(), where, sizeof where);
    if (size <= 0) continue;
    const std::string_view path(where, static_cast<std::size_t>(size));
    if (path == folder || starts_with(path, folder + "/")) found.push_back(process);
  }
  return found;
}

}  // namespace edgetune
