// Energy over a window of time, from readings of power or of a counter: the same as compiler/runtime/sensors/energy.py,
// which says how.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "json.h"

namespace edgetune {

// Joules over a window and how much of them its edges leave open, or why there is no figure.
struct Energy {
  std::optional<double> joules;
  double doubt = 0;
  std::optional<std::string> why;

  json::Value as_json() const;
};

// Readings of a channel: ascending times in seconds; watts, or joules of a counter.
struct Trace {
  std::vector<double> times;
  std::vector<double> values;
};

// When a counter's readings were new, the joules since the first one, and when it was reset.
struct Steps {
  Trace trace;
  std::vector<double> resets;
};

Steps steps(const Trace& counter, std::optional<double> span);

Energy power_energy(const Trace& power, double begin, double end, double period);
Energy counter_energy(const Trace& counter, double begin, double end, double period, std::optional<double> span);

}  // namespace edgetune
