// A GPU's own events, by CUDA's driver (as compiler/runtime/device_events.py).
#pragma once

#include <dlpack/dlpack.h>

#include <cstddef>
#include <memory>
#include <vector>

namespace edgetune {

class DeviceEvents {
 public:
  using Event = void*;  // none: nullptr

  // Throws Error where the driver has none.
  explicit DeviceEvents(void* driver);

  // Put an event at the end of the default queue.
  Event record();

  // From one event to another; waits for the latter.
  long long nanoseconds(Event first, Event last);

  // Take the events made so far again.
  void reuse() { used_ = 0; }

 private:
  int (*create_)(void** event, unsigned flags) = nullptr;
  int (*record_)(void* event, void* stream) = nullptr;
  int (*wait_)(void* event) = nullptr;
  int (*elapsed_)(float* milliseconds, void* first, void* last) = nullptr;
  std::vector<Event> made_;
  std::size_t used_ = 0;
};

// Events of `device`; none where it has none, and the host's clock must do.
std::unique_ptr<DeviceEvents> device_events(DLDevice device);

}  // namespace edgetune
