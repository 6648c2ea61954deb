// `edgetune.power.*` of docs/agent-protocol.md: sampling during a session's measurements, and when its timer's runs began.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "channels.h"
#include "json.h"
#include "sampler.h"

namespace edgetune {

// Times are seconds of the clock that never jumps. Errors are thrown as Error.
class Power {
 public:
  // What can be sampled, and where that is nothing, why.
  json::Value channels();

  // Sample the channels that a job names.
  json::Value start(std::string_view job);

  // The time, right after a sample: the edge of a window in which the desk asks for nothing.
  double edge();

  // Called by TVM's timer before each counted run; the first of them begins a window.
  void run();

  // When the first and the last run since the last call of this began, and the time now.
  json::Value runs();

  // End sampling: the energies of windows, given as pairs of times.
  json::Value stop(std::string_view windows);

 private:
  const std::vector<Channel>& found();

  std::optional<std::vector<Channel>> known_;
  std::unique_ptr<Sampler> sampler_;
  std::optional<double> begin_;
  double last_ = 0;
};

}  // namespace edgetune
