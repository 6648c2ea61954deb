#include "session.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "child.h"
#include "error.h"
#include "folder.h"
#include "keeper.h"
#include "text.h"

namespace edgetune {

namespace {

constexpr double kGrace = 0.2;                  // seconds in which a process whose client has gone may end by itself
constexpr double kKeeperSeconds = 0.5;          // that it takes to end what it keeps, at most
constexpr std::size_t kOutputKept = 2000;       // bytes
constexpr std::size_t kOutputTold = 300;
constexpr int kReadsATurn = 16;

// A client whose machine has lost its power never closes: it is asked whether it lives, and has gone after ten seconds.
void notice_dead_peers(int socket) {
  const auto set = [&](int level, int name, int value) { setsockopt(socket, level, name, &value, sizeof value); };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 4);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 2);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 10000);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
}

void volunteer_for_out_of_memory() {
  const Descriptor file(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (file && write(file.get(), "1000", 4) < 0) return;  // then the kernel chooses by itself
}

}  // namespace

Session::Session(Descriptor socket, std::string peer, SessionSettings settings, const std::function<void()>& in_child,
                 const std::function<int(int)>& serve)
    : socket_(std::move(socket)), peer_(std::move(peer)), settings_(std::move(settings)), begun_(now()) {
  kill_at_ = begun_ + settings_.seconds;
  notice_dead_peers(socket_.get());
  fcntl(socket_.get(), F_SETFL, fcntl(socket_.get(), F_GETFL) & ~O_NONBLOCK);  // as TVM expects it
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error(std::string("no pipe: ") + std::strerror(errno));
  output_ = Descriptor(ends[0]);
  Descriptor writer(ends[1]);
  fcntl(output_.get(), F_SETFL, O_NONBLOCK);
  const pid_t agent = getpid();
  keeper_ = fork();
  if (keeper_ < 0) throw Error(std::string("no process: ") + std::strerror(errno));
  if (keeper_ > 0) return;
  keep(agent, settings_.folder, [&] {
    in_child();
    output_.close();
    const pid_t keeper = getpid(), serving = fork();
    if (serving == 0) run(std::move(writer), keeper, serve);
    writer.close();
    socket_.close();
    return serving;
  });
}

void Session::run(Descriptor output, pid_t keeper, const std::function<int(int)>& serve) {
  setsid();
  become_child(keeper, SIGKILL);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_UNBLOCK, &all, nullptr);
  prctl(PR_SET_NAME, "edgetune-session");
  const Descriptor nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
  dup2(nothing.get(), STDIN_FILENO);
  dup2(output.get(), STDOUT_FILENO);
  dup2(output.get(), STDERR_FILENO);
  output.close();
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);  // a crash is an everyday thing here
  if (settings_.memory_limit) {
    const auto bytes = static_cast<rlim_t>(*settings_.memory_limit);
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_AS, &limit);
  } else {
    volunteer_for_out_of_memory();
  }
  int status = kFailed;
  if (chdir(settings_.folder.c_str()) == 0) {
    setenv("TMPDIR", settings_.folder.c_str(), 1);
    status = serve(socket_.get());
  }
  std::fflush(nullptr);
  _exit(status);  // without the destructors of what was loaded
}

Session::~Session() {
  if (keeper_ > 0) {
    kill(keeper_, SIGTERM);
    const double patience = now() + kKeeperSeconds;
    while (waitpid(keeper_, nullptr, WNOHANG) == 0) {
      if (now() > patience) kill(keeper_, SIGKILL);
      usleep(2000);
    }
  }
  delete_folder(settings_.folder);
}

void Session::watch(Events& events) {
  events.until(kill_at_);
  if (!client_gone_) {
    events.watch(socket_.get(), POLLRDHUP, [this](short) {
      // What has read the end of its connection ends by itself, and well.
      client_gone_ = true;
      kill_at_ = std::min(kill_at_, now() + kGrace);
    });
  }
  if (output_) events.watch(output_.get(), POLLIN, [this](short) { read_output(); });
}

void Session::tick() {
  if (now() < kill_at_) return;
  // A keeper that does not do its work has been stopped by somebody. Linux kills the session with it.
  kill(keeper_, ending_ ? SIGKILL : SIGTERM);
  ending_ = true;
  kill_at_ = now() + kKeeperSeconds;
}

bool Session::ended() {
  int status = 0;
  if (waitpid(keeper_, &status, WNOHANG) != keeper_) return false;
  keeper_ = -1;
  read_output();
  failure_ = why_failed(status);
  return true;
}

std::optional<std::string> Session::why_failed(int status) const {
  if (WIFEXITED(status) && WEXITSTATUS(status) == kDone) return std::nullopt;
  if (ending_) return client_gone_ ? std::nullopt : std::make_optional<std::string>("time limit");
  if (WIFSIGNALED(status)) return signal_name(WTERMSIG(status));
  return format("exit status %d", WEXITSTATUS(status));
}

std::string Session::last_words() const {
  std::string_view rest = strip(last_output_);
  const std::size_t line = rest.rfind('\n');
  if (line != std::string_view::npos) rest.remove_prefix(line + 1);
  return std::string(strip(rest.substr(0, kOutputTold)));
}

void Session::read_output() {
  char part[4096];
  for (int k = 0; k < kReadsATurn && output_; ++k) {
    const ssize_t count = read(output_.get(), part, sizeof part);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) {
      output_.close();
      return;
    }
    last_output_.append(part, static_cast<std::size_t>(count));
    if (last_output_.size() > kOutputKept) last_output_.erase(0, last_output_.size() - kOutputKept);
  }
}

std::string signal_name(int number) {
  switch (number) {
    case SIGSEGV: return "SIGSEGV";
    case SIGABRT: return "SIGABRT";
    case SIGBUS: return "SIGBUS";
    case SIGFPE: return "SIGFPE";
    case SIGILL: return "SIGILL";
    case SIGKILL: return "SIGKILL";
    case SIGTERM: return "SIGTERM";
    case SIGINT: return "SIGINT";
    case SIGQUIT: return "SIGQUIT";
    case SIGTRAP: return "SIGTRAP";
    case SIGSYS: return "SIGSYS";
    case SIGXCPU: return "SIGXCPU";
    default: return format("signal %d", number);
  }
}

}  // namespace edgetune
