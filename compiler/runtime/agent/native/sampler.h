// Channels of power, read at a steady pace and at the edges of windows while something else is measured: the same as
// compiler/runtime/sensors/sampler.py.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "channels.h"
#include "json.h"

namespace edgetune {

class Sampler {
 public:
  // Begins to read every `period` seconds, or more slowly where reading takes much of that. Throws Error where there can
  // be no thread.
  Sampler(std::vector<Channel> channels, double period);
  ~Sampler();
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  double period() const;

  // A window begins or ends: a sample, and the time after it or before it.
  double begin();
  double end();

  // End reading, as soon as all counters have moved since the last edge; then the energies of windows.
  void stop();
  json::Value report(const std::vector<std::pair<double, double>>& windows) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
  double last_edge_ = 0;
};

}  // namespace edgetune
