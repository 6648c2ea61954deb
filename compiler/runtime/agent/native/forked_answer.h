// A question whose answer may take long or crash (a name looked up, the GPU's driver), asked in a process of its own.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "descriptor.h"
#include "events.h"

namespace edgetune {

class ForkedAnswer {
 public:
  // Start `question`, which has `seconds`. `in_child` is called before it, to let go of what the agent holds.
  ForkedAnswer(const std::function<void()>& in_child, const std::function<std::string()>& question, double seconds);
  ~ForkedAnswer();
  ForkedAnswer(const ForkedAnswer&) = delete;
  ForkedAnswer& operator=(const ForkedAnswer&) = delete;

  void watch(Events& events);

  // The answer when it is there; empty when there was none in time.
  const std::optional<std::string>& answer();

  pid_t process() const { return process_; }
  void let_go() { pipe_.close(); }  // in another forked process

 private:
  void read_more();

  pid_t process_ = -1;
  Descriptor pipe_;
  double deadline_;
  std::string bytes_;
  std::optional<std::string> answer_;
};

}  // namespace edgetune
