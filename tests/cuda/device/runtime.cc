// Stands in for the CUDA runtime, libcudart.so.13, as far as TVM calls it: see gpu.h.
// Its own header wants one of NVIDIA's C++ compiler's: what is needed of it stands here.
#include "gpu.h"

#include <cstdlib>
#include <cstring>

using cudaError_t = int;  // of the driver's numbering, where they mean the same
using cudaStream_t = void*;
using cudaEvent_t = void*;
using cudaGraph_t = void*;
constexpr cudaError_t cudaSuccess = 0;

namespace {

enum { kToDevice = 1, kToHost = 2 };  // of cudaMemcpyKind
// The head of cudaDeviceProp, and more than its whole size is not written.
struct Properties {
  char name[256];
  char ids[32];
  size_t memory;
};

thread_local cudaError_t last = cudaSuccess;

cudaError_t said(CUresult result) {
  if (result != CUDA_SUCCESS) last = result;
  return result;
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : said(CUDA_ERROR_INVALID_DEVICE); }
cudaError_t cudaDeviceGetAttribute(int* value, int which, int) { return said(gpu::attribute(value, which)); }
cudaError_t cudaGetDeviceProperties(Properties* properties, int) {
  memset(properties, 0, sizeof *properties);
  strcpy(properties->name, "Emulated GPU");
  properties->memory = gpu::memory_bytes();
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* left, size_t* whole) {
  *left = *whole = gpu::memory_bytes();
  return cudaSuccess;
}
const char* cudaGetErrorName(cudaError_t error) {
  const char* text = nullptr;
  cuGetErrorName(static_cast<CUresult>(error), &text);
  return text;
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }
cudaError_t cudaPeekAtLastError(void) { return last; }
cudaError_t cudaGetLastError(void) {
  const cudaError_t error = last;
  last = cudaSuccess;
  return error;
}

cudaError_t cudaMalloc(void** result, size_t bytes) { return said(gpu::allocate(result, bytes)); }
cudaError_t cudaFree(void* memory) { return said(gpu::release(memory)); }
cudaError_t cudaMallocHost(void** result, size_t bytes) {
  *result = malloc(bytes);
  return *result != nullptr ? cudaSuccess : said(CUDA_ERROR_OUT_OF_MEMORY);
}
cudaError_t cudaFreeHost(void* memory) {
  free(memory);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, int kind, cudaStream_t stream) {
  const gpu::Copy how = kind == kToDevice ? gpu::Copy::kToDevice
                        : kind == kToHost ? gpu::Copy::kToHost
                                          : gpu::Copy::kWithin;
  return said(gpu::copy(to, from, bytes, how, stream));
}
cudaError_t cudaMemcpyPeerAsync(void*, int, const void*, int, size_t, cudaStream_t) {
  return said(CUDA_ERROR_INVALID_DEVICE);
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return said(gpu::make_event(event)); }
cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) { return said(gpu::record(event, stream)); }
cudaError_t cudaEventSynchronize(cudaEvent_t event) { return said(gpu::wait_for_event(event)); }
cudaError_t cudaEventElapsedTime(float* result, cudaEvent_t first, cudaEvent_t last_one) {
  return said(gpu::milliseconds(result, first, last_one));
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return said(gpu::make_stream(stream)); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return cudaStreamCreate(stream); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return said(gpu::end_stream(stream)); }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return said(gpu::wait(stream)); }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }  // one queue for all
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, int) {
  return said(gpu::begin_capture(stream));
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return said(gpu::end_capture(stream, graph));
}
// A graph that can be launched is the captured one, whose owner it then is.
cudaError_t cudaGraphInstantiate(cudaGraph_t* result, cudaGraph_t graph, unsigned long long) {
  *result = graph;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t) { return cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraph_t graph) { return said(gpu::end_graph(graph)); }
cudaError_t cudaGraphLaunch(cudaGraph_t graph, cudaStream_t stream) {
  return said(gpu::launch_graph(graph, stream));
}

}  // extern "C"
