#include "sensors.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "channels.h"
#include "clocks.h"
#include "nvml.h"
#include "text.h"

namespace edgetune {

namespace {

constexpr double kLeastAverageSeconds = 0.05;
constexpr double kColdest = -50, kHottest = 150;  // a sensor that is switched off reads -256 or some thousands

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool is_numbered(const std::string& name, std::string_view prefix) {
  return name.size() > prefix.size() && name[prefix.size()] >= '0' && name[prefix.size()] <= '9';
}

std::string replaced(const std::string& name, std::string_view end, std::string_view other) {
  return name.substr(0, name.size() - end.size()).append(other);
}

std::string name_of(const std::string& chip) {
  return read_line(chip + "/name").value_or(chip.substr(chip.rfind('/') + 1));
}

void add_temperature(Readings& found, const std::string& name, std::optional<double> millidegrees) {
  // Zones of the Jetson TX1 to Xavier that say 100 degrees whatever happens.
  if (!millidegrees || name == "PMIC-Die" || name == "pmic-die") return;
  const double celsius = *millidegrees / 1000;
  if (celsius > kColdest && celsius < kHottest) found.add(name, celsius);
}

Readings power(const std::string& root) {
  Readings found;
  for (const Channel& rail : rails(root))
    if (const auto watts = rail.read()) found.add(rail.name, *watts);
  return found;
}

// Of the discrete GPUs, which have no files: only where the root is the machine's own.
std::vector<GpuReading> gpus(const std::string& root) {
  return root.empty() ? gpu_readings() : std::vector<GpuReading>{};
}

Readings clocks(const std::string& root) {
  Readings found;
  const std::string cpus = root + "/sys/devices/system/cpu";
  for (const std::string& cpu : names_in(cpus, "cpu")) {
    const auto kilohertz = read_number(cpus + "/" + cpu + "/cpufreq/scaling_cur_freq");
    if (kilohertz && is_numbered(cpu, "cpu")) found.add(cpu, *kilohertz / 1e3);
  }
  const std::string devices = root + "/sys/class/devfreq";
  for (const std::string& device : names_in(devices))
    for (const char* gpu : {".gpu", ".ga10b", ".gv11b", ".gp10b", ".gm20b", "gpu-gpc-0"}) {
      if (!ends_with(device, gpu)) continue;
      const auto hertz = read_number(devices + "/" + device + "/cur_freq");
      if (hertz) found.add("gpu", *hertz / 1e6);
    }
  return found;
}

bool slows_down(const std::string& cooling_device) {
  for (const char* word : {"cpufreq", "devfreq", "Processor", "intel_powerclamp", "cpu-", "gpu-"})
    if (cooling_device.find(word) != std::string::npos) return true;
  return false;
}

Readings board_temperatures(const std::string& root) {
  Readings found;
  const std::string zones = root + "/sys/class/thermal";
  for (const std::string& zone : names_in(zones, "thermal_zone"))
    add_temperature(found, read_line(zones + "/" + zone + "/type").value_or(zone),
                    read_number(zones + "/" + zone + "/temp"));
  if (!found.empty()) return found;
  const std::string chips = root + "/sys/class/hwmon";
  for (const std::string& name : names_in(chips, "hwmon")) {
    const std::string chip = chips + "/" + name;
    for (const std::string& file : names_in(chip, "temp")) {
      if (!ends_with(file, "_input")) continue;
      const auto label = read_line(chip + "/" + replaced(file, "_input", "_label"));
      add_temperature(found, label ? name_of(chip) + " " + *label : name_of(chip), read_number(chip + "/" + file));
    }
  }
  return found;
}

}  // namespace

void Readings::add(std::string name, double value) {
  const auto taken = [&](const std::string& one) {
    return std::any_of(values_.begin(), values_.end(), [&](const auto& known) { return known.first == one; });
  };
  std::string unique = name;
  for (int number = 2; taken(unique); ++number) unique = name + format("-%d", number);
  values_.emplace_back(std::move(unique), value);
}

double Readings::highest() const {
  double found = kColdest;
  for (const auto& [name, value] : values_) found = std::max(found, value);
  return found;
}

json::Value Readings::as_json() const {
  auto made = json::Value::object();
  for (const auto& [name, value] : values_) made.set(name, value);
  return made;
}

Readings temperatures(const std::string& root) {
  Readings found = board_temperatures(root);
  for (const GpuReading& gpu : gpus(root))
    if (gpu.celsius) found.add(gpu.name, *gpu.celsius);
  return found;
}

std::optional<std::string> governor(const std::string& root) {
  return read_line(root + "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
}

std::optional<std::string> power_mode(const std::string& root) {
  // nvpmodel's own files, so that its program need not be started: "pmode:0002", and in the other one
  // "< POWER_MODEL ID=2 NAME=15W >".
  const std::string status = read_line(root + "/var/lib/nvpmodel/status").value_or("");
  const std::size_t place = status.find("pmode:");
  if (place == std::string::npos) return std::nullopt;
  std::string number = status.substr(place + 6);
  number.erase(0, number.find_first_not_of(" \t"));
  number.erase(std::min(number.find_first_not_of("0123456789"), number.size()));
  if (number.empty()) return std::nullopt;
  number.erase(0, std::min(number.find_first_not_of('0'), number.size() - 1));
  const std::string models = read_file(root + "/etc/nvpmodel.conf", 1 << 18).value_or("");
  const std::string wanted = "POWER_MODEL ID=" + number + " NAME=";
  const std::size_t model = models.find(wanted);
  if (model == std::string::npos) return number;
  const std::size_t first = model + wanted.size();
  return models.substr(first, models.find_first_of(" >\t\r\n", first) - first);
}

Sensors::Sensors(std::string root) : root_(std::move(root)), zones_(rapl_zones(root_)) {
  for (const auto& [name, zone] : zones_)
    if (const auto found = energy(zone)) before_[zone] = *found;
  events_ = throttling_events();
}

json::Value Sensors::read(bool wait) {
  double latest = 0;
  for (const auto& [zone, found] : before_) latest = std::max(latest, found.time);
  const double missing = latest + kLeastAverageSeconds - now();
  if (wait && !before_.empty() && missing > 0) usleep(static_cast<useconds_t>(missing * 1e6));
  Readings watts = power(root_), clock_mhz = clocks(root_);
  counted_power(watts);
  std::optional<bool> slowed = throttled();
  for (const GpuReading& gpu : gpus(root_)) {
    if (gpu.watts) watts.add(gpu.name, *gpu.watts);
    if (gpu.clock_mhz) clock_mhz.add(gpu.name, *gpu.clock_mhz);
    if (gpu.throttled) slowed = slowed.value_or(false) || *gpu.throttled;
  }
  auto made = json::Value::object();
  made.set("time", time_of_day());
  made.set("celsius", temperatures(root_).as_json());
  made.set("watts", watts.as_json());
  made.set("clock_mhz", clock_mhz.as_json());
  made.set("throttled", slowed);
  return made;
}

void Sensors::counted_power(Readings& watts) {
  for (const auto& [name, zone] : zones_) {
    const auto found = energy(zone);
    const auto known = before_.find(zone);
    if (found && known != before_.end() && found->time > known->second.time) {
      double microjoules = found->microjoules - known->second.microjoules;
      // The counter begins anew when it is full.
      if (microjoules < 0) microjoules += read_number(zone + "/max_energy_range_uj").value_or(-1e300);
      if (microjoules >= 0) watts.add(name, microjoules / 1e6 / (found->time - known->second.time));
    }
    if (found)
      before_[zone] = *found;
    else
      before_.erase(zone);
  }
}

std::optional<Sensors::Energy> Sensors::energy(const std::string& zone) const {
  const auto microjoules = read_number(zone + "/energy_uj");  // of Linux 5.10 and newer, for root alone
  if (!microjoules) return std::nullopt;
  return Energy{now(), *microjoules};
}

std::optional<bool> Sensors::throttled() {
  std::optional<bool> found;
  const auto know = [&](bool slowed) { found = found.value_or(false) || slowed; };
  const std::string devices = root_ + "/sys/class/thermal/";
  for (const std::string& device : names_in(devices, "cooling_device")) {
    const auto state = read_number(devices + device + "/cur_state");
    if (state && slows_down(read_line(devices + device + "/type").value_or(""))) know(*state > 0);
  }
  // The Raspberry Pi: clock capped, throttled, soft limit of the temperature.
  if (const auto bits = read_line(root_ + "/sys/devices/platform/soc/soc:firmware/get_throttled")) {
    char* end = nullptr;
    const unsigned long value = std::strtoul(bits->c_str(), &end, 16);
    if (end != bits->c_str() && *end == '\0') know((value & 0b1110) != 0);
  }
  const auto before = events_;
  events_ = throttling_events();
  if (events_) know(before && *events_ > *before);
  return found;
}

std::optional<double> Sensors::throttling_events() const {
  std::optional<double> sum;
  const auto count = [&](const std::string& path) {
    if (const auto events = read_number(path)) sum = sum.value_or(0) + *events;
  };
  const std::string cpus = root_ + "/sys/devices/system/cpu/";
  for (const std::string& cpu : names_in(cpus, "cpu"))
    if (is_numbered(cpu, "cpu")) count(cpus + cpu + "/thermal_throttle/package_throttle_count");
  const std::string chips = root_ + "/sys/class/hwmon/";
  for (const std::string& chip : names_in(chips, "hwmon")) {
    if (read_line(chips + chip + "/name") != "soctherm_oc") continue;  // a Jetson's guards against too much current
    for (const std::string& file : names_in(chips + chip, "oc"))
      if (ends_with(file, "_event_cnt")) count(chips + chip + "/" + file);
  }
  return sum;
}

}  // namespace edgetune
