// A session as the agent sees it: processes that it started, watches and ends.
//
// Between the agent and the process that serves the client stands a keeper (keeper.h), which sees to it that nothing is
// left of the session, also where the agent itself is killed.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "clocks.h"
#include "descriptor.h"
#include "events.h"

namespace edgetune {

struct SessionSettings {
  double seconds = 0;  // it is ended then
  std::optional<long long> memory_limit;
  std::string folder;  // its own, empty
};

class Session {
 public:
  // What `serve` returns when the client has ended the session. Not 0: a candidate may call exit(0).
  static constexpr int kDone = 90;
  static constexpr int kFailed = 91;  // the client broke TVM's protocol, or the connection

  // Fork processes, one of which serves `socket` in `settings.folder`. In them `in_child` is called first, to let go of
  // what the agent holds, and in that one then `serve` with the socket; what it returns is its exit status. Throws Error.
  Session(Descriptor socket, std::string peer, SessionSettings settings, const std::function<void()>& in_child,
          const std::function<int(int socket)>& serve);
  ~Session();  // ends it, and deletes its folder
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void watch(Events& events);

  // Do what the time has come for.
  void tick();

  // Whether it has ended, with all that it has started.
  bool ended();

  // How it ended if that was not well: the name of its signal, "time limit" or "exit status N".
  const std::optional<std::string>& failure() const { return failure_; }

  // The last line that it printed.
  std::string last_words() const;

  const std::string& peer() const { return peer_; }
  double seconds() const { return now() - begun_; }

 private:
  [[noreturn]] void run(Descriptor output, pid_t keeper, const std::function<int(int)>& serve);
  void read_output();
  void end();
  std::optional<std::string> why_failed(int status) const;

  Descriptor socket_;  // the agent's own, to see when the client closes its end
  Descriptor output_;  // what the process prints
  std::string peer_;
  SessionSettings settings_;
  pid_t keeper_ = -1;
  double begun_;
  double kill_at_;
  bool client_gone_ = false;
  bool ending_ = false;
  std::string last_output_;
  std::optional<std::string> failure_;
};

// The name of a signal, such as SIGSEGV.
std::string signal_name(int number);

}  // namespace edgetune
