#include "device_events.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>

#include "error.h"
#include "text.h"

namespace edgetune {

namespace {

void must(int status, const char* what) {
  if (status != 0) throw Error(format("the GPU's driver could not %s: error %d", what, status));
}

template <typename Function>
void find(void* driver, const char* name, Function& found) {
  found = reinterpret_cast<Function>(dlsym(driver, name));
  if (found == nullptr) throw Error(std::string("the GPU's driver has no ") + name);
}

}  // namespace

DeviceEvents::DeviceEvents(void* driver) {
  find(driver, "cuEventCreate", create_);
  find(driver, "cuEventRecord", record_);
  find(driver, "cuEventSynchronize", wait_);
  find(driver, "cuEventElapsedTime", elapsed_);
}

DeviceEvents::Event DeviceEvents::record() {
  if (used_ == made_.size()) {
    Event made = nullptr;
    must(create_(&made, 0), "make an event");
    made_.push_back(made);
  }
  const Event event = made_[used_++];
  must(record_(event, nullptr), "record an event");
  return event;
}

long long DeviceEvents::nanoseconds(Event first, Event last) {
  float milliseconds = 0;
  must(wait_(last), "wait for an event");
  must(elapsed_(&milliseconds, first, last), "read an event");
  return std::max(0LL, std::llround(static_cast<double>(milliseconds) * 1e6));
}

std::unique_ptr<DeviceEvents> device_events(DLDevice device) {
  if (device.device_type != kDLCUDA) return nullptr;
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return nullptr;
  try {
    return std::make_unique<DeviceEvents>(driver);
  } catch (const Error&) {
    return nullptr;
  }
}

}  // namespace edgetune
