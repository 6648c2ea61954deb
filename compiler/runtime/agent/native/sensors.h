// What the board reads now (*sensors* of docs/agent-protocol.md): the same places as compiler/runtime/sensors, which
// says what they are. What cannot be read is left out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "json.h"

namespace edgetune {

// Names and values in the order in which they were found; a name that is taken gets a number.
class Readings {
 public:
  void add(std::string name, double value);
  bool empty() const { return values_.empty(); }
  double highest() const;
  json::Value as_json() const;

 private:
  std::vector<std::pair<std::string, double>> values_;
};

// Degrees Celsius by thermal zone, or by chip where there is no zone.
Readings temperatures(const std::string& root);

// How the first CPU's clock is chosen, and the power mode of a Jetson.
std::optional<std::string> governor(const std::string& root);
std::optional<std::string> power_mode(const std::string& root);

// Keep it: energy that is counted is told as the average power between two readings.
class Sensors {
 public:
  explicit Sensors(std::string root = "");

  // All values. With `wait` up to 50 ms are spent so that power is an average of something.
  json::Value read(bool wait);

 private:
  struct Energy {
    double time = 0;
    double microjoules = 0;
  };

  void counted_power(Readings& watts);
  std::optional<Energy> energy(const std::string& zone) const;
  std::optional<bool> throttled();
  std::optional<double> throttling_events() const;

  std::string root_;
  std::vector<std::pair<std::string, std::string>> zones_;  // RAPL's: name and folder
  std::map<std::string, Energy> before_;                    // by folder
  std::optional<double> events_;
};

}  // namespace edgetune
