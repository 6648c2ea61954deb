/* Stands in for NVIDIA's driver, libcuda.so.1, on a machine without a GPU, so that TVM's CUDA part can be loaded and
 * packages hold machine code. No call of it succeeds: 100 is CUDA_ERROR_NO_DEVICE. */
#define FAILS(name) \
  int name(void) { return 100; }

FAILS(cuDeviceGetName)
FAILS(cuFuncSetAttribute)
FAILS(cuLaunchKernelEx)
FAILS(cuModuleGetFunction)
FAILS(cuModuleLoadData)
FAILS(cuModuleUnload)
FAILS(cuTensorMapEncodeTiled)

int cuGetErrorName(int error, const char** text) {
  (void)error;
  *text = "CUDA_ERROR_NO_DEVICE";
  return 0;
}

int cuGetErrorString(int error, const char** text) {
  (void)error;
  *text = "this machine has no NVIDIA driver";
  return 0;
}
