#include "gpu.h"

#include <dlfcn.h>
#include <unistd.h>

#include "text.h"

namespace edgetune {

namespace {

// Values of CUdevice_attribute in cuda.h.
constexpr int kMultiprocessors = 16, kMajor = 75, kMinor = 76;
constexpr int kMostGpus = 64;  // of a machine

template <typename Function>
Function find(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

}  // namespace

bool has_gpu_device() {
  for (const char* path : {"/dev/nvhost-gpu", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu", "/dev/dxg"})
    if (access(path, F_OK) == 0) return true;
  // Of several, a container may be given another than the first. (glob() wants a newer glibc than all the rest.)
  for (int number = 0; number < kMostGpus; ++number)
    if (access(format("/dev/nvidia%d", number).c_str(), F_OK) == 0) return true;
  return false;
}

json::Value find_gpu() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return {};
  const auto init = find<int (*)(unsigned)>(driver, "cuInit");
  const auto get = find<int (*)(int*, int)>(driver, "cuDeviceGet");
  const auto get_name = find<int (*)(char*, int, int)>(driver, "cuDeviceGetName");
  const auto get_attribute = find<int (*)(int*, int, int)>(driver, "cuDeviceGetAttribute");
  int device = 0, major = 0, minor = 0, multiprocessors = 0;
  char name[256] = "";
  if (!init || !get || !get_name || !get_attribute || init(0) != 0 || get(&device, 0) != 0 ||
      get_name(name, sizeof name, device) != 0 || get_attribute(&major, kMajor, device) != 0 ||
      get_attribute(&minor, kMinor, device) != 0 ||
      get_attribute(&multiprocessors, kMultiprocessors, device) != 0 || major == 0)
    return {};
  name[sizeof name - 1] = '\0';
  auto made = json::Value::object();
  made.set("name", name);
  made.set("arch", format("sm_%d%d", major, minor));
  made.set("sm_count", multiprocessors > 0 ? json::Value(multiprocessors) : json::Value());
  return made;
}

}  // namespace edgetune
