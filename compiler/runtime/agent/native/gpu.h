// The NVIDIA GPU of this machine, asked of its driver (as targets/gpu.py).
#pragma once

#include "json.h"

namespace edgetune {

// Whether a driver shows a GPU, discrete or of a Jetson: only then it is worth asking.
bool has_gpu_device();

// Name, architecture and multiprocessors of the first GPU, or null. It starts CUDA in this process, which cannot be forked
// afterwards.
json::Value find_gpu();

}  // namespace edgetune
