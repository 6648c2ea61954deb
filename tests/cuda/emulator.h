// Lets a C++ compiler run CUDA source on a CPU, a block after another, each thread of a block a fiber of its own.
// Threads run one after another up to where they wait for each other, so a missing wait gives wrong results.
#pragma once
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(x)
#define __forceinline__ inline
#define uint unsigned int
#define uchar unsigned char
#define ushort unsigned short

template <typename T>
struct Two {
  T x, y;
};
template <typename T>
struct Four {
  T x, y, z, w;
};
using half = _Float16;
using float2 = Two<float>;
using float4 = Four<float>;
using int2 = Two<int>;
using int4 = Four<int>;
using uint2 = Two<unsigned>;
using half2 = Two<half>;
using half4 = Four<half>;
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline half2 make_half2(half x, half y) { return {x, y}; }
static inline half4 make_half4(half x, half y, half z, half w) { return {x, y, z, w}; }

struct Index {
  unsigned x, y, z;
};
static Index threadIdx, blockIdx;

#define __expf expf
#define __logf logf
#define __powf powf

namespace emulator {

struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  Index index;
  bool done = false;
  int waits = 0;       // how often it has waited for its block
  int warp_waits = 0;  // and for its warp
};

static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static int current;
static void (*kernel)();
static uint32_t lanes[1024];

static void yield() {
  Fiber& self = fibers[current];
  swapcontext(&self.context, &scheduler);
  threadIdx = self.index;
}

static void wait_for(int first, int last, int Fiber::*count) {
  const int mine = ++(fibers[current].*count);
  const int self = current;
  for (;;) {
    bool all = true;
    for (int i = first; i < last; ++i) all = all && (fibers[i].done || fibers[i].*count >= mine);
    if (all) return;
    yield();
    current = self;
  }
}

static void wait_block() { wait_for(0, static_cast<int>(fibers.size()), &Fiber::waits); }

static void wait_warp() {
  const int first = current / 32 * 32;
  const int last = first + 32 < static_cast<int>(fibers.size()) ? first + 32 : static_cast<int>(fibers.size());
  wait_for(first, last, &Fiber::warp_waits);
}

template <typename T>
static T from_lane(T value, int source) {
  static_assert(sizeof(T) == 4, "shuffles of 32 bits");
  memcpy(&lanes[current], &value, 4);
  wait_warp();
  T result = value;
  const int from = current / 32 * 32 + source;
  if (source >= 0 && source < 32 && from < static_cast<int>(fibers.size())) memcpy(&result, &lanes[from], 4);
  wait_warp();
  return result;
}

static void body() {
  kernel();
  fibers[current].done = true;
  swapcontext(&fibers[current].context, &scheduler);
}

// `backwards`: the last thread runs first.
static void launch(void (*run)(), const int* grid, const int* block, int backwards) {
  kernel = run;
  const int threads = block[0] * block[1] * block[2];
  fibers.resize(threads);
  for (auto& fiber : fibers) fiber.stack.resize(64 * 1024);
  for (unsigned bz = 0; bz < (unsigned)grid[2]; ++bz)
    for (unsigned by = 0; by < (unsigned)grid[1]; ++by)
      for (unsigned bx = 0; bx < (unsigned)grid[0]; ++bx) {
        blockIdx = {bx, by, bz};
        for (int i = 0; i < threads; ++i) {
          Fiber& fiber = fibers[i];
          fiber.index = {(unsigned)(i % block[0]), (unsigned)(i / block[0] % block[1]),
                         (unsigned)(i / block[0] / block[1])};
          fiber.done = false;
          fiber.waits = fiber.warp_waits = 0;
          getcontext(&fiber.context);
          fiber.context.uc_stack.ss_sp = fiber.stack.data();
          fiber.context.uc_stack.ss_size = fiber.stack.size();
          fiber.context.uc_link = nullptr;
          makecontext(&fiber.context, body, 0);
        }
        for (bool left = true; left;) {
          left = false;
          for (int k = 0; k < threads; ++k) {
            const int i = backwards ? threads - 1 - k : k;
            if (fibers[i].done) continue;
            current = i;
            threadIdx = fibers[i].index;
            swapcontext(&scheduler, &fibers[i].context);
            left = left || !fibers[i].done;
          }
        }
      }
}

}  // namespace emulator

#define __syncthreads() emulator::wait_block()
#define __syncwarp(...) emulator::wait_warp()
#define __activemask() 0xffffffffu
#define __shfl_sync(mask, value, lane, width) emulator::from_lane(value, (lane))
#define __shfl_down_sync(mask, value, offset, width) emulator::from_lane(value, emulator::current % 32 + (offset))
#define __shfl_up_sync(mask, value, offset, width) emulator::from_lane(value, emulator::current % 32 - (offset))
