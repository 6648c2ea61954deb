#include "keeper.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

namespace edgetune {

namespace {

constexpr int kRounds = 50;  // of 5 ms

// Children become this one's when their parents end: in the end there are none.
void kill_descendants() {
  for (auto children = children_of(getpid()); !children.empty(); children = children_of(getpid())) {
    for (const pid_t child : children) kill(child, SIGKILL);
    for (const pid_t child : children) waitpid(child, nullptr, 0);
  }
}

// Where Linux does not hand orphans to this process (QEMU does not let it ask for that), most are known by their folder.
void kill_orphans(const std::string& folder) {
  for (int round = 0; round < kRounds; ++round) {
    const auto orphans = processes_in(folder);
    if (orphans.empty()) return;
    for (const pid_t orphan : orphans) kill(orphan, SIGKILL);
    usleep(5000);
  }
}

[[noreturn]] void end_as(int status) {
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  const int number = WTERMSIG(status);
  signal(number, SIG_DFL);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_UNBLOCK, &all, nullptr);
  kill(getpid(), number);
  _exit(128 + number);
}

}  // namespace

void keep(pid_t agent, const std::string& folder, const std::function<pid_t()>& start) {
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, SIGTERM);
  sigaddset(&awaited, SIGCHLD);
  sigprocmask(SIG_BLOCK, &awaited, nullptr);
  setsid();  // Ctrl-C is for the agent
  become_child(agent, SIGTERM);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_NAME, "edgetune-keeper");
  const pid_t kept = start();
  int status = 0;
  bool ended = kept < 0;
  while (!ended) {
    const int number = sigwaitinfo(&awaited, nullptr);
    ended = waitpid(kept, &status, WNOHANG) == kept;
    if (number == SIGTERM) break;
  }
  kill_descendants();
  kill_orphans(folder);
  if (!ended) _exit(128 + SIGTERM);
  end_as(status);
}

}  // namespace edgetune
