// What a turn of the agent's loop waits for: descriptors, and a time.
#pragma once

#include <poll.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

namespace edgetune {

constexpr double kNever = std::numeric_limits<double>::infinity();

class Events {
 public:
  using Handler = std::function<void(short happened)>;

  // Call `handler` when `fd` is ready for one of `events` (as of poll), or has failed.
  void watch(int fd, short events, Handler handler) {
    polls_.push_back({fd, events, 0});
    handlers_.push_back(std::move(handler));
  }

  // Wake up at `time` of the clock `now()` at the latest.
  void until(double time) { time_ = std::min(time_, time); }

  // Wait, and call the handlers of what has happened.
  void wait();

 private:
  std::vector<pollfd> polls_;
  std::vector<Handler> handlers_;
  double time_ = kNever;
};

}  // namespace edgetune
