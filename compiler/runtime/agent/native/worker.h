// A process that measures candidates one after another for the one that keeps the results, and may die of them.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "descriptor.h"

namespace edgetune {

class Worker {
 public:
  struct Outcome {
    std::vector<double> seconds;
    std::optional<std::string> error;  // one line
    bool interrupted = false;          // `signals` became readable; nothing is known then
  };

  // `folder` is where it works.
  explicit Worker(std::string folder) : folder_(std::move(folder)) {}
  ~Worker() { end(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Measure a job (JSON of `edgetune.measure`) with the library in the file `library`, in at most `seconds`, in a process
  // that is started where there is none. Throws Error where none can be.
  Outcome measure(const std::string& job, const std::string& library, double seconds, const Descriptor& signals);

 private:
  void start();
  int end();  // kills it; returns its status, as of waitpid
  [[noreturn]] void serve(int socket);

  std::string folder_;
  pid_t process_ = -1;
  Descriptor socket_;
};

}  // namespace edgetune
