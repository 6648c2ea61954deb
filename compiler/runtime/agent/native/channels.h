// Channels of power: one quantity each that a sensor measures, to be read again and again. The same places as
// compiler/runtime/sensors (hwmon.py, rapl.py, nvml.py), in the same order and under the same names.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace edgetune {

// `read` gives watts or, where the channel counts, joules since some beginning, which begin anew after `span`; nothing
// where it fails.
struct Channel {
  std::string name;
  std::string sensor;
  bool counts = false;
  std::function<std::optional<double>()> read;
  std::optional<double> span;
};

// The rails of hwmon and IIO, those that can be read now.
std::vector<Channel> rails(const std::string& root);

// Rails, then RAPL's counters, then (without a root) GPUs; each name is there once.
std::vector<Channel> channels(const std::string& root);

// Why there are none.
std::string why_no_channels(const std::string& root);

// The zones of RAPL: their names and folders.
std::vector<std::pair<std::string, std::string>> rapl_zones(const std::string& root);

}  // namespace edgetune
