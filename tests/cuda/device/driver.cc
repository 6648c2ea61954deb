// Stands in for NVIDIA's driver, libcuda.so.1: see gpu.h.
#include "gpu.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace gpu {
namespace {

constexpr size_t kMemory = size_t{8} << 30;
constexpr size_t kAlignment = 256;  // of what cudaMalloc gives
constexpr size_t kDynamicShared = 48 << 10;  // that a block has without asking
constexpr size_t kMostShared = 227 << 10;
constexpr int kWarp = 32, kMostThreads = 1024, kMostBlocks = 65535;

struct Event {
  bool recorded = false;
  std::chrono::steady_clock::time_point at;
};
struct Function {
  void (*launch)(void** pointers, const int* sizes, int backwards);
  int parameters;
  const int* misaligned;
  size_t dynamic_shared = kDynamicShared;
};
struct Module {
  void* library;
  std::map<std::string, std::unique_ptr<Function>> functions;
};
using Work = std::function<void()>;
struct Graph {
  std::vector<Work> work;
};
struct Stream {
  bool capturing = false;
  Graph graph;
};
struct Allocation {
  char* pages;  // the last of them is out of bounds
  size_t bytes;
};

std::recursive_mutex mutex;
std::vector<Work> queue;
std::map<void*, Allocation> allocations;
std::set<Stream*> streams;
size_t allocated;
CUresult fault = CUDA_SUCCESS;  // of a kernel: nothing works any more

size_t page() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

bool capturing() {
  for (const Stream* stream : streams)
    if (stream->capturing) return true;
  return false;
}

void protect(int how) {
  for (const auto& [_, allocation] : allocations) mprotect(allocation.pages, allocation.bytes, how);
}

void work_off() {
  if (queue.empty()) return;
  protect(PROT_READ | PROT_WRITE);
  for (const Work& work : queue) work();
  queue.clear();
  protect(PROT_NONE);
}

void enqueue(void* stream, Work work) {
  auto* where = static_cast<Stream*>(stream);
  (where != nullptr && where->capturing ? where->graph.work : queue).push_back(std::move(work));
}

// The size of an ELF file in memory: up to the end of its tables, which NVIDIA's compiler puts last.
size_t elf_size(const unsigned char* file) {
  const auto at = [&](int offset, int bytes) {
    uint64_t value = 0;
    memcpy(&value, file + offset, bytes);
    return value;
  };
  const size_t segments = at(32, 8) + at(54, 2) * at(56, 2), sections = at(40, 8) + at(58, 2) * at(60, 2);
  return segments > sections ? segments : sections;
}

uint32_t crc32(const unsigned char* data, size_t bytes) {
  uint32_t sum = ~0u;
  for (size_t i = 0; i < bytes; ++i) {
    sum ^= data[i];
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
  }
  return ~sum;
}

// The library with what the machine code at `image` does, compiled for the CPU once.
std::string compiled(const void* image) {
  const auto* bytes = static_cast<const unsigned char*>(image);
  if (memcmp(bytes, "\x7f" "ELF", 4) != 0) return "";
  const size_t size = elf_size(bytes);
  char name[64];
  snprintf(name, sizeof name, "%08x-%zu", crc32(bytes, size), size);
  const std::string stem = std::string(getenv("EMULATED_GPU")) + "/modules/" + name;
  const std::string library = stem + ".so", made = stem + "." + std::to_string(getpid()) + ".part";
  struct stat found;
  if (stat(library.c_str(), &found) == 0) return library;
  if (stat((stem + ".cc").c_str(), &found) != 0) return "";
  const std::string command = std::string(getenv("EMULATED_GPU_COMPILER")) + " " + stem + ".cc -o " + made;
  if (system(command.c_str()) != 0 || rename(made.c_str(), library.c_str()) != 0) return "";
  return library;
}

}  // namespace

CUresult attribute(int* value, int which) {
  // An H100's, but for the architecture where another is asked for (75: sm_75).
  static const char* asked = getenv("EMULATED_GPU_ARCH");
  static const int arch = asked != nullptr ? atoi(asked) : 90;
  static const std::map<int, int> values = {
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, kMostThreads},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, kDynamicShared},
      {CU_DEVICE_ATTRIBUTE_WARP_SIZE, kWarp},
      {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 65536},
      {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1980000},
      {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 132},
      {CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 2619000},
      {CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 5120},
      {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 50 << 20},
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 2048},
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, arch / 10},
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, arch % 10},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 228 << 10},
      {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, 65536},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, kMostShared},
  };
  const auto found = values.find(which);
  if (found == values.end()) return CUDA_ERROR_INVALID_VALUE;
  *value = found->second;
  return CUDA_SUCCESS;
}

size_t memory_bytes() { return kMemory; }

CUresult allocate(void** result, size_t bytes) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (capturing()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (allocated + bytes > kMemory) return CUDA_ERROR_OUT_OF_MEMORY;
  const size_t used = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const size_t whole = (used + page() - 1) / page() * page();
  void* pages = mmap(nullptr, whole + page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  mprotect(pages, whole, PROT_READ | PROT_WRITE);
  memset(pages, 0xff, whole);
  mprotect(pages, whole, PROT_NONE);
  *result = static_cast<char*>(pages) + whole - used;
  allocations[*result] = {static_cast<char*>(pages), whole};
  allocated += whole;
  return CUDA_SUCCESS;
}

CUresult release(void* memory) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (memory == nullptr) return CUDA_SUCCESS;
  const auto found = allocations.find(memory);
  if (found == allocations.end()) return CUDA_ERROR_INVALID_VALUE;
  work_off();  // it waits for the device
  munmap(found->second.pages, found->second.bytes + page());
  allocated -= found->second.bytes;
  allocations.erase(found);
  return CUDA_SUCCESS;
}

CUresult copy(void* to, const void* from, size_t bytes, Copy kind, void* stream) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (kind != Copy::kWithin && capturing()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  enqueue(stream, [=] { memcpy(to, from, bytes); });
  if (kind != Copy::kWithin) work_off();  // of pageable memory: it is free again when the call returns
  return fault;
}

CUresult wait(void*) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (capturing()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  work_off();
  return fault;
}

CUresult make_event(void** event) {
  *event = new Event;
  return CUDA_SUCCESS;
}

CUresult record(void* event, void* stream) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  auto* made = static_cast<Event*>(event);
  made->recorded = true;
  enqueue(stream, [=] { made->at = std::chrono::steady_clock::now(); });
  return CUDA_SUCCESS;
}

CUresult wait_for_event(void* event) {
  return static_cast<Event*>(event)->recorded ? wait(nullptr) : CUDA_SUCCESS;
}

CUresult milliseconds(float* result, void* first, void* last) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  const auto *begun = static_cast<Event*>(first), *ended = static_cast<Event*>(last);
  if (!begun->recorded || !ended->recorded) return CUDA_ERROR_INVALID_HANDLE;
  if (!queue.empty()) return CUDA_ERROR_NOT_READY;
  *result = std::chrono::duration<float, std::milli>(ended->at - begun->at).count();
  return CUDA_SUCCESS;
}

CUresult make_stream(void** stream) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  auto* made = new Stream;
  streams.insert(made);
  *stream = made;
  return CUDA_SUCCESS;
}

CUresult end_stream(void* stream) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  work_off();
  streams.erase(static_cast<Stream*>(stream));
  delete static_cast<Stream*>(stream);
  return CUDA_SUCCESS;
}

CUresult begin_capture(void* stream) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (stream == nullptr) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  static_cast<Stream*>(stream)->capturing = true;
  return CUDA_SUCCESS;
}

CUresult end_capture(void* stream, void** graph) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  auto* captured = static_cast<Stream*>(stream);
  captured->capturing = false;
  *graph = new Graph(std::move(captured->graph));
  return CUDA_SUCCESS;
}

CUresult launch_graph(void* graph, void* stream) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  for (const Work& work : static_cast<Graph*>(graph)->work) enqueue(stream, work);
  return CUDA_SUCCESS;
}

CUresult end_graph(void* graph) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  delete static_cast<Graph*>(graph);
  return CUDA_SUCCESS;
}

}  // namespace gpu

#undef cuEventElapsedTime
#undef cuModuleGetFunction

extern "C" {

CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
CUresult cuGetExportTable(const void** table, const CUuuid*) {  // NVRTC asks for it, and goes without
  *table = nullptr;
  return CUDA_ERROR_NOT_FOUND;
}
CUresult cuDriverGetVersion(int* version) {
  *version = CUDA_VERSION;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* count) {
  *count = 1;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  *device = ordinal;
  return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
CUresult cuDeviceGetName(char* name, int bytes, CUdevice) {
  snprintf(name, bytes, "Emulated GPU");
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice) { return gpu::attribute(value, which); }
CUresult cuGetErrorName(CUresult error, const char** text) {
  static thread_local char name[32];
  snprintf(name, sizeof name, "CUDA_ERROR_%d", static_cast<int>(error));
  *text = name;
  return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult error, const char** text) { return cuGetErrorName(error, text); }

CUresult cuEventCreate(CUevent* event, unsigned) { return gpu::make_event(reinterpret_cast<void**>(event)); }
CUresult cuEventRecord(CUevent event, CUstream stream) { return gpu::record(event, stream); }
CUresult cuEventSynchronize(CUevent event) { return gpu::wait_for_event(event); }
CUresult cuEventElapsedTime(float* result, CUevent first, CUevent last) {
  return gpu::milliseconds(result, first, last);
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  std::lock_guard<std::recursive_mutex> lock(gpu::mutex);
  if (gpu::capturing()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  const std::string path = gpu::compiled(image);
  void* library = path.empty() ? nullptr : dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return CUDA_ERROR_INVALID_IMAGE;
  *module = reinterpret_cast<CUmodule>(new gpu::Module{library, {}});
  return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule module) {
  std::lock_guard<std::recursive_mutex> lock(gpu::mutex);
  gpu::work_off();
  auto* loaded = reinterpret_cast<gpu::Module*>(module);
  dlclose(loaded->library);
  delete loaded;
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* result, CUmodule module, const char* name) {
  std::lock_guard<std::recursive_mutex> lock(gpu::mutex);
  auto* loaded = reinterpret_cast<gpu::Module*>(module);
  auto& function = loaded->functions[name];
  if (function == nullptr) {
    void* launch = dlsym(loaded->library, (std::string("launch_") + name).c_str());
    void* parameters = dlsym(loaded->library, (std::string("parameters_") + name).c_str());
    void* misaligned = dlsym(loaded->library, "emulator_misaligned");
    if (launch == nullptr || parameters == nullptr || misaligned == nullptr) return CUDA_ERROR_NOT_FOUND;
    function.reset(new gpu::Function{reinterpret_cast<void (*)(void**, const int*, int)>(launch),
                                     *static_cast<int*>(parameters), static_cast<int*>(misaligned)});
  }
  *result = reinterpret_cast<CUfunction>(function.get());
  return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute which, int value) {
  if (which != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || static_cast<size_t>(value) > gpu::kMostShared)
    return CUDA_ERROR_INVALID_VALUE;
  reinterpret_cast<gpu::Function*>(function)->dynamic_shared = value;
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters, void**) {
  std::lock_guard<std::recursive_mutex> lock(gpu::mutex);
  const auto* called = reinterpret_cast<gpu::Function*>(function);
  const unsigned threads = config->blockDimX * config->blockDimY * config->blockDimZ;
  if (threads == 0 || threads > gpu::kMostThreads || config->blockDimZ > 64 || config->gridDimX == 0 ||
      config->gridDimY == 0 || config->gridDimZ == 0 || config->gridDimX > 0x7fffffffu ||
      config->gridDimY > gpu::kMostBlocks || config->gridDimZ > gpu::kMostBlocks ||
      config->sharedMemBytes > called->dynamic_shared)
    return CUDA_ERROR_INVALID_VALUE;
  std::vector<void*> pointers(called->parameters);
  for (size_t i = 0; i < pointers.size(); ++i) pointers[i] = *static_cast<void**>(parameters[i]);
  const std::vector<unsigned> sizes = {config->gridDimX,  config->gridDimY,  config->gridDimZ,
                                       config->blockDimX, config->blockDimY, config->blockDimZ};
  gpu::enqueue(config->hStream, [called, pointers, sizes]() mutable {
    called->launch(pointers.data(), reinterpret_cast<const int*>(sizes.data()), 0);
    if (*called->misaligned != 0) gpu::fault = CUDA_ERROR_MISALIGNED_ADDRESS;
  });
  return CUDA_SUCCESS;
}

CUresult cuTensorMapEncodeTiled(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                                const cuuint64_t*, const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave,
                                CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  return CUDA_ERROR_NOT_SUPPORTED;
}

}  // extern "C"
