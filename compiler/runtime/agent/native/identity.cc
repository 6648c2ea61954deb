#include "identity.h"

#include <gnu/libc-version.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "cpus.h"
#include "sensors.h"
#include "text.h"
#include "version.h"

namespace edgetune {

namespace {

constexpr std::size_t kLongestCpuinfo = 64 << 10;
constexpr std::size_t kBriefCpuinfo = 8 << 10;

std::optional<double> size_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const std::size_t unit = std::string_view("KMG").find(text.back());
  if (unit == std::string_view::npos) return parse_number(text);
  const auto number = parse_number(std::string_view(text).substr(0, text.size() - 1));
  if (!number) return std::nullopt;
  return *number * static_cast<double>(1 << 10 * (unit + 1));
}

// Sizes in bytes of the first CPU's data caches.
json::Value caches(const std::string& root) {
  std::optional<double> sizes[3];
  const std::string folder = root + "/sys/devices/system/cpu/cpu0/cache/";
  for (const std::string& index : names_in(folder, "index")) {
    const std::string kind = read_line(folder + index + "/type").value_or("");
    const double level = read_number(folder + index + "/level").value_or(0);
    if ((kind == "Data" || kind == "Unified") && level >= 1 && level <= 3)
      sizes[static_cast<int>(level) - 1] = size_of(read_line(folder + index + "/size").value_or(""));
  }
  auto made = json::Value::object();
  made.set("l1d", sizes[0]);
  made.set("l2", sizes[1]);
  made.set("l3", sizes[2]);
  return made;
}

// As many whole processors of /proc/cpuinfo's text as fit.
std::string whole_processors(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  text.resize(limit);
  const std::size_t whole = text.rfind("\n\n");
  if (whole != std::string::npos) text.resize(whole);
  return text;
}

}  // namespace

json::Value identity(const json::Value& gpu, const std::string& root) {
  utsname system{};
  uname(&system);
  struct sysinfo memory{};
  sysinfo(&memory);
  auto made = json::Value::object();
  made.set("schema", 1);
  made.set("agent", "native");
  made.set("version", kVersion);
  made.set("tvm", kTvmVersion);
  made.set("machine", system.machine);
  made.set("cpuinfo", whole_processors(read_file(root + "/proc/cpuinfo", kLongestCpuinfo + 1).value_or(""),
                                       kLongestCpuinfo));
  made.set("cores", usable_cores());
  made.set("memory_bytes", static_cast<double>(memory.totalram) * memory.mem_unit);
  made.set("glibc", gnu_get_libc_version());
  made.set("kernel", system.release);
  made.set("caches", caches(root));
  made.set("board", read_line(root + "/proc/device-tree/model"));
  made.set("gpu", gpu);
  made.set("power_mode", power_mode(root));
  made.set("governor", governor(root));
  return made;
}

json::Value in_brief(const json::Value& identity) {
  auto made = json::Value::object();
  for (const auto& [name, value] : identity.members())
    made.set(name, name == "cpuinfo" ? json::Value(whole_processors(value.as_string(), kBriefCpuinfo)) : value);
  return made;
}

}  // namespace edgetune
