// What NVIDIA's management library says of the discrete GPUs, as compiler/runtime/sensors/nvml.py has it. It needs no
// CUDA. Integrated GPUs have no NVML for this; their values are among the board's files.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace edgetune {

struct GpuReading {
  std::string name;
  std::optional<double> celsius, watts, clock_mhz;
  std::optional<bool> throttled;
};

// The GPUs; none without the library or a GPU.
std::vector<GpuReading> gpu_readings();

// How many there are; joules since some beginning (Volta and newer), and watts, of each.
unsigned gpu_count();
std::optional<double> gpu_joules(unsigned index);
std::optional<double> gpu_watts(unsigned index);

}  // namespace edgetune
