#include "nvml.h"

#include <dlfcn.h>

#include "text.h"

namespace edgetune {

namespace {

using Device = void*;

// Values of nvml.h: nvmlTemperatureSensors_t, nvmlClockType_t, and bits of nvmlClocksThrottleReasons.
constexpr int kTemperatureGpu = 0, kClockGraphics = 0;
constexpr unsigned long long kPowerCap = 0x4, kHardwareSlowdown = 0x8, kThermalSlowdown = 0x20;

// The library, loaded and initialised when it is first asked.
class Library {
 public:
  Library() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
    const auto init = find<int (*)()>("nvmlInit_v2");
    const auto get_count = find<int (*)(unsigned*)>("nvmlDeviceGetCount_v2");
    get_ = find<int (*)(unsigned, Device*)>("nvmlDeviceGetHandleByIndex_v2");
    if (!init || !get_count || !get_ || init() != 0 || get_count(&count_) != 0) count_ = 0;
  }

  unsigned count() const { return count_; }

  // What a function writes for a GPU, given `arguments` between the two.
  template <typename Written, typename... Arguments>
  std::optional<Written> ask(const char* name, unsigned index, Arguments... arguments) const {
    const auto function = find<int (*)(Device, Arguments..., Written*)>(name);
    Device device = nullptr;
    Written written{};
    if (!function || index >= count_ || get_(index, &device) != 0 || function(device, arguments..., &written) != 0)
      return std::nullopt;
    return written;
  }

 private:
  template <typename Function>
  Function find(const char* name) const {
    return library_ == nullptr ? nullptr : reinterpret_cast<Function>(dlsym(library_, name));
  }

  void* library_;
  int (*get_)(unsigned, Device*) = nullptr;
  unsigned count_ = 0;
};

const Library& library() {
  static const Library* made = new Library;  // never unloaded: the driver's threads may outlive us
  return *made;
}

template <typename Written>
std::optional<double> scaled(std::optional<Written> value, double unit) {
  return value ? std::optional<double>(static_cast<double>(*value) / unit) : std::nullopt;
}

}  // namespace

unsigned gpu_count() { return library().count(); }

std::optional<double> gpu_joules(unsigned index) {
  return scaled(library().ask<unsigned long long>("nvmlDeviceGetTotalEnergyConsumption", index), 1e3);
}

std::optional<double> gpu_watts(unsigned index) {
  return scaled(library().ask<unsigned>("nvmlDeviceGetPowerUsage", index), 1e3);
}

std::vector<GpuReading> gpu_readings() {
  std::vector<GpuReading> found;
  for (unsigned index = 0; index < gpu_count(); ++index) {
    GpuReading one;
    one.name = format("gpu%u", index);
    one.celsius = scaled(library().ask<unsigned>("nvmlDeviceGetTemperature", index, kTemperatureGpu), 1);
    one.watts = gpu_watts(index);
    one.clock_mhz = scaled(library().ask<unsigned>("nvmlDeviceGetClockInfo", index, kClockGraphics), 1);
    const auto reasons =
        library().ask<unsigned long long>("nvmlDeviceGetCurrentClocksThrottleReasons", index);
    if (reasons) one.throttled = (*reasons & (kPowerCap | kHardwareSlowdown | kThermalSlowdown)) != 0;
    found.push_back(one);
  }
  return found;
}

}  // namespace edgetune
