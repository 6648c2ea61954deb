#include "channels.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "nvml.h"
#include "text.h"

namespace edgetune {

namespace {

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string replaced(const std::string& name, std::string_view end, std::string_view other) {
  return name.substr(0, name.size() - end.size()).append(other);
}

// Adds a channel that can be read, under the first free one of NAME, NAME-2, NAME-3, ...
class Found {
 public:
  void add(const std::string& name, const std::string& sensor, std::function<std::optional<double>()> read) {
    if (!read()) return;
    std::string unique = name;
    for (int number = 2; taken(unique); ++number) unique = name + format("-%d", number);
    channels_.push_back({std::move(unique), sensor, false, std::move(read), std::nullopt});
  }

  std::vector<Channel> channels() && { return std::move(channels_); }

 private:
  bool taken(const std::string& name) const {
    return std::any_of(channels_.begin(), channels_.end(), [&](const Channel& one) { return one.name == name; });
  }

  std::vector<Channel> channels_;
};

std::function<std::optional<double>()> scaled(const std::string& file, double unit) {
  return [file, unit]() -> std::optional<double> {
    const auto value = read_number(file);
    return value ? std::optional<double>(*value / unit) : std::nullopt;
  };
}

bool powers_of_chip(Found& found, const std::string& chip, const std::string& name, std::string_view kind) {
  bool measured = false;
  for (const std::string& file : names_in(chip, "power")) {
    if (!ends_with(file, kind) || !read_number(chip + "/" + file)) continue;
    auto label = read_line(chip + "/" + replaced(file, kind, "_label"));
    if (!label) label = read_line(chip + "/label");
    found.add(label.value_or(name), name, scaled(chip + "/" + file, 1e6));
    measured = true;
  }
  return measured;
}

void products_of_chip(Found& found, const std::string& chip, const std::string& name) {
  for (int channel = 1; channel <= 4; ++channel) {
    const std::string in = chip + format("/in%d", channel), current = chip + format("/curr%d_input", channel);
    const auto label = read_line(in + "_label");
    if (label == "sum of shunt voltages") continue;  // the INA3221's own sum: no rail
    found.add(label.value_or(name + format(" %d", channel)), name, [in, current]() -> std::optional<double> {
      if (read_number(in + "_enable").value_or(1) == 0) return std::nullopt;  // it is switched off
      const auto millivolts = read_number(in + "_input"), milliamperes = read_number(current);
      if (!millivolts || !milliamperes) return std::nullopt;
      return *millivolts * *milliamperes / 1e6;
    });
  }
}

void of_iio(Found& found, const std::string& folder) {
  constexpr std::string_view kPrefix = "in_power", kEnd = "_input";
  for (const std::string& file : names_in(folder, kPrefix)) {
    if (!ends_with(file, kEnd)) continue;
    const auto rail = read_line(folder + "/rail_name_" + replaced(file.substr(kPrefix.size()), kEnd, ""));
    if (rail) found.add(*rail, read_line(folder + "/name").value_or("ina3221x"), scaled(folder + "/" + file, 1e3));
  }
}

std::vector<Channel> counters(const std::string& root) {
  std::vector<Channel> found;
  for (const auto& [name, folder] : rapl_zones(root)) {
    Channel one{name, "RAPL", true, scaled(folder + "/energy_uj", 1e6), std::nullopt};
    if (!one.read()) continue;
    if (const auto span = read_number(folder + "/max_energy_range_uj")) one.span = *span / 1e6;
    found.push_back(std::move(one));
  }
  return found;
}

std::vector<Channel> gpus() {
  std::vector<Channel> found;
  for (unsigned index = 0; index < gpu_count(); ++index) {
    Channel one{format("gpu%u", index), "NVML", true, [index] { return gpu_joules(index); }, std::nullopt};
    if (!one.read()) {  // older than Volta
      one.counts = false;
      one.read = [index] { return gpu_watts(index); };
      if (!one.read()) continue;
    }
    found.push_back(std::move(one));
  }
  return found;
}

}  // namespace

std::vector<Channel> rails(const std::string& root) {
  Found found;
  const std::string chips = root + "/sys/class/hwmon";
  for (const std::string& folder : names_in(chips, "hwmon")) {
    const std::string chip = chips + "/" + folder, name = read_line(chip + "/name").value_or(folder);
    if (!powers_of_chip(found, chip, name, "_input") && !powers_of_chip(found, chip, name, "_average"))
      products_of_chip(found, chip, name);
  }
  const std::string devices = root + "/sys/bus/i2c/devices";
  for (const std::string& device : names_in(devices))
    for (const std::string& folder : names_in(devices + "/" + device, "iio"))
      if (starts_with(folder, "iio:device") || folder == "iio_device")
        of_iio(found, devices + "/" + device + "/" + folder);
  return std::move(found).channels();
}

std::vector<Channel> channels(const std::string& root) {
  std::vector<Channel> all = rails(root);
  std::vector<Channel> more = counters(root);
  if (root.empty())
    for (Channel& one : gpus()) more.push_back(std::move(one));
  for (Channel& one : more) {
    const auto same = [&](const Channel& known) { return known.name == one.name; };
    if (std::none_of(all.begin(), all.end(), same)) all.push_back(std::move(one));
  }
  return all;
}

std::string why_no_channels(const std::string& root) {
  if (!rapl_zones(root).empty() && counters(root).empty())
    return "only root may read RAPL's counters here (/sys/class/powercap/*/energy_uj)";
  return "no power sensor is readable here: no RAPL, NVML, INA or power meter";
}

std::vector<std::pair<std::string, std::string>> rapl_zones(const std::string& root) {
  std::vector<std::pair<std::string, std::string>> found;
  const std::string folder = root + "/sys/class/powercap/";
  for (const std::string& zone : names_in(folder, "intel-rapl:")) {
    auto name = read_line(folder + zone + "/name");
    if (!name) continue;
    // "intel-rapl:0:2" is a part of the package "intel-rapl:0".
    const std::size_t last = zone.rfind(':');
    if (last > std::string_view("intel-rapl").size()) {
      const auto package = read_line(folder + zone.substr(0, last) + "/name");
      if (package) name = *package + " " + *name;
    }
    found.emplace_back(*name, folder + zone);
  }
  return found;
}

}  // namespace edgetune
