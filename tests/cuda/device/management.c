/* Stands in for NVIDIA's management library, libnvidia-ml.so.1, as far as nvidia-ml-py is asked. The GPU is warm, idle
 * (which is no limit that slows it down) and takes 100 W. */
#include <string.h>
#include <time.h>

enum { IDLE = 1, MILLIWATTS = 100000 };

int nvmlInitWithFlags(unsigned flags) { return (void)flags, 0; }
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
const char* nvmlErrorString(int error) { return (void)error, "an error of the emulated GPU"; }
int nvmlDeviceGetCount_v2(unsigned* count) { return *count = 1, 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) { return *device = (void*)1, index == 0 ? 0 : 2; }
int nvmlDeviceGetTemperature(void* device, unsigned sensor, unsigned* celsius) {
  return (void)device, (void)sensor, *celsius = 40, 0;
}
int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) { return (void)device, *milliwatts = MILLIWATTS, 0; }
int nvmlDeviceGetClockInfo(void* device, unsigned clock, unsigned* mhz) {
  return (void)device, (void)clock, *mhz = 1980, 0;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void* device, unsigned long long* reasons) {
  return (void)device, *reasons = IDLE, 0;
}
int nvmlDeviceGetCurrentClocksEventReasons(void* device, unsigned long long* reasons) {
  return (void)device, *reasons = IDLE, 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  *millijoules = (unsigned long long)((now.tv_sec + now.tv_nsec * 1e-9) * MILLIWATTS);
  return (void)device, 0;
}
