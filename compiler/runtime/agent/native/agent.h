// The agent's own process: it listens, sorts out what comes, and lets one session at a time run in a process of its own.
// It never waits for anybody and never calls TVM, so that nothing that a client does can hold it up or end it.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>

#include "clocks.h"
#include "descriptor.h"
#include "events.h"
#include "folder.h"
#include "forked_answer.h"
#include "json.h"
#include "options.h"
#include "sensors.h"
#include "session.h"
#include "tracker.h"
#include "wire.h"

namespace edgetune {

class Agent {
 public:
  // Listen. Throws Error where that is not possible.
  explicit Agent(Options options);
  ~Agent();

  // Serve until a signal (or the end of standard input, if that was asked for) ends it.
  void run();

 private:
  struct Client {
    enum class State { kHandshake, kWaiting, kAnswering, kClosed };

    Descriptor socket;
    std::string peer;
    double deadline;
    State state = State::kHandshake;
    Handshake handshake;
    std::string out;  // what is left of an answer
  };
  using Clients = std::list<Client>;

  void listen();
  void watch(Events& events);
  void watch(Events& events, Client& client);
  void accept_clients();
  void make_room();
  void read_handshake(Client& client);
  void answer(Client& client);
  void begin_answer(Client& client, std::string bytes);
  void send_answer(Client& client);
  void drop(Client& client, const char* why);
  void sweep();
  void tick();
  void begin_session();
  void end_session();
  void kill_strays() const;
  void read_input();
  void let_go();
  json::Value status(const json::Value& identity);
  bool known_key(const std::string& key) const;

  Options options_;
  double begun_ = now();
  ScratchFolder scratch_;
  Descriptor listener_;
  Descriptor signals_;
  std::string address_;  // where it listens, for people
  Clients clients_;      // in the order of arrival; those who wait, in that of their handshakes' ends
  std::unique_ptr<Session> session_;
  std::unique_ptr<Tracker> tracker_;
  std::unique_ptr<ForkedAnswer> gpu_question_;
  json::Value gpu_;
  json::Value identity_;
  Sensors sensors_;
  json::Value readings_;
  double readings_at_ = -kNever;
  long long sessions_ = 0;
  long long failed_sessions_ = 0;
  std::optional<std::string> last_failure_;
  long long strangers_ = 0;      // who came and were no clients, since it was last said
  double strangers_said_ = -kNever;
  double heard_at_ = now();  // when something came on standard input
  bool ending_ = false;
};

}  // namespace edgetune
