/* NVML for tests: two GPUs. The first one takes 100 W and counts energy, in steps of 20 ms; the second one is older, and
   only says that it takes 50 W. */
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
#ifndef GPUS
#define GPUS 2
#endif
enum { SUCCESS = 0, INVALID = 2, NOT_SUPPORTED = 3 };
typedef struct { int index; } Gpu;
static Gpu gpus[2] = {{0}, {1}};

typedef struct {
  char legacy[16];
  unsigned domain, bus, device, id, subsystem;
  char bus_id[32];
} Pci;

EXPORT int nvmlInit_v2(void) { return SUCCESS; }
EXPORT int nvmlInitWithFlags(unsigned flags) { (void)flags; return SUCCESS; }
EXPORT int nvmlShutdown(void) { return SUCCESS; }
EXPORT const char* nvmlErrorString(int code) { (void)code; return "stub"; }
EXPORT int nvmlDeviceGetCount_v2(unsigned* count) { *count = GPUS; return SUCCESS; }
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  if (index >= GPUS) return INVALID;
  *device = &gpus[index];
  return SUCCESS;
}
EXPORT int nvmlDeviceGetTemperature(void* device, int kind, unsigned* celsius) {
  (void)kind;
  *celsius = ((Gpu*)device)->index ? 55 : 61;
  return SUCCESS;
}
EXPORT int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) {
  *milliwatts = ((Gpu*)device)->index ? 50000 : 100000;
  return SUCCESS;
}
EXPORT int nvmlDeviceGetClockInfo(void* device, int kind, unsigned* mhz) {
  (void)kind;
  if (((Gpu*)device)->index) return NOT_SUPPORTED;
  *mhz = 1980;
  return SUCCESS;
}
EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(void* device, unsigned long long* reasons) {
  *reasons = ((Gpu*)device)->index ? 0 : 4;
  return SUCCESS;
}
EXPORT int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  if (((Gpu*)device)->index) return NOT_SUPPORTED;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  unsigned long long milliseconds = now.tv_sec * 1000ull + now.tv_nsec / 1000000;
  *millijoules = 100 * (milliseconds / 20 * 20);
  return SUCCESS;
}
EXPORT int nvmlDeviceGetPciInfo_v3(void* device, Pci* pci) {
  memset(pci, 0, sizeof *pci);
  strcpy(pci->bus_id, ((Gpu*)device)->index ? "00000000:65:00.0" : "00000000:17:00.0");
  return SUCCESS;
}
