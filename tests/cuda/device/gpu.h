// A GPU that is emulated on the CPU, as the stand-ins for NVIDIA's libraries share it.
//
// What is asked of it is queued, and done only when somebody waits: what is read too early is not there yet. Its memory
// can be read and written while it works and at no other time, and begins as NaN; behind each allocation is a page that
// nobody may touch. Kernels are those of `tests/cuda/emulator.h`.
#pragma once
#include <cuda.h>

#include <cstddef>

namespace gpu {

enum class Copy { kToDevice, kToHost, kWithin };

CUresult attribute(int* value, int which);
CUresult allocate(void** result, size_t bytes);
CUresult release(void* memory);
CUresult copy(void* to, const void* from, size_t bytes, Copy kind, void* stream);
CUresult wait(void* stream);
CUresult make_event(void** event);
CUresult record(void* event, void* stream);
CUresult wait_for_event(void* event);
CUresult milliseconds(float* result, void* first, void* last);
CUresult make_stream(void** stream);
CUresult end_stream(void* stream);
CUresult begin_capture(void* stream);
CUresult end_capture(void* stream, void** graph);
CUresult launch_graph(void* graph, void* stream);
CUresult end_graph(void* graph);
size_t memory_bytes();

}  // namespace gpu
