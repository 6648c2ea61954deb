// The agent's side of TVM's tracker (python/tvm/rpc/tracker.py): it registers there, and offers the device whenever it is
// free. Nothing here waits; a tracker that does not answer, or is not there, is tried again for ever.
#pragma once

#include <sys/socket.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "descriptor.h"
#include "events.h"
#include "forked_answer.h"
#include "json.h"

namespace edgetune {

class Tracker {
 public:
  struct Settings {
    std::string host;
    int port = 0;
    std::string key;             // the board's
    std::string address;         // where clients reach the agent; empty: where the tracker sees it from
    int agent_port = 0;
  };

  // `status` gives the agent's own, to be told to the tracker; `in_child` is what a forked process lets go of.
  Tracker(Settings settings, std::function<json::Value()> status, std::function<void()> in_child);

  void watch(Events& events);

  // Do what the time has come for; `free`: the device takes a session now.
  void tick(bool free);

  // Whether `key` is the match key that a client was given, or may still be given. It is used up by `use`.
  bool matches(const std::string& key) const { return !match_key_.empty() && key == match_key_; }
  void use() { match_key_.clear(); }

  // Close what is open, in a forked process.
  void let_go();

  // The process that looks up a name, if there is one.
  pid_t helper() const { return lookup_ ? lookup_->process() : -1; }

 private:
  enum class State { kIdle, kLookup, kConnecting, kGreeting, kRegistered };
  enum class Asked { kInfo, kPut, kPending };

  void connect_next();
  void resolved(const std::string& addresses);
  void connected();
  void failed(const std::string& why);
  void happened(short events);
  void read_more();
  void write_more();
  void answered(std::string_view message);
  void ask(Asked what, const json::Value& message);
  void offer();
  json::Value own_address() const;

  Settings settings_;
  std::function<json::Value()> status_;
  std::function<void()> in_child_;
  std::mt19937_64 random_;

  State state_ = State::kIdle;
  double wake_ = 0;          // when the state's time is over
  double pause_ = 1;         // seconds before the next attempt
  bool told_ = false;        // that it is not there
  std::unique_ptr<ForkedAnswer> lookup_;
  std::vector<std::pair<sockaddr_storage, socklen_t>> addresses_;  // left to try
  Descriptor socket_;
  std::string out_, in_;
  std::deque<Asked> asked_;  // what has no answer yet
  std::string match_key_;
  double asked_at_ = 0;
  std::optional<double> taken_at_;  // when the match key was first seen to be gone
};

}  // namespace edgetune
