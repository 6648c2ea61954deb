// Lets a C++ compiler run CUDA source on a CPU, a block after another, each thread of a block a fiber of its own.
// Threads run one after another up to where they wait for each other, so a missing wait gives wrong results.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(x)
#define __forceinline__ inline
#define EDGETUNE_EMULATED
#define uint unsigned int
#define uchar unsigned char
#define ushort unsigned short

// Aligned as on a GPU, which cannot read or write them elsewhere: a kernel that tries ends there, and
// `emulator_misaligned` counts it.
template <typename T>
struct alignas(2 * sizeof(T)) Two {
  T x, y;
};
template <typename T>
struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) Four {
  T x, y, z, w;
};
using half = _Float16;
using float2 = Two<float>;
using float4 = Four<float>;
using int2 = Two<int>;
using int4 = Four<int>;
using uint2 = Two<unsigned>;
using uint4 = Four<unsigned>;
using ulonglong4 = Four<unsigned long long>;
using half2 = Two<half>;
using half4 = Four<half>;
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline half __float2half_rn(float x) { return static_cast<half>(x); }
static inline half2 __half2half2(half x) { return {x, x}; }
// Rounded once: the product of two halves is exact in double, and what a double adds to it loses is far below a half.
static inline half fused(half a, half b, half c) { return static_cast<half>(static_cast<double>(a) * b + c); }
static inline half2 __hfma2(half2 a, half2 b, half2 c) { return {fused(a.x, b.x, c.x), fused(a.y, b.y, c.y)}; }
static inline unsigned __pack_half2(half x, half y) {
  const half both[2] = {x, y};
  unsigned result;
  memcpy(&result, both, 4);
  return result;
}
static inline half2 make_half2(half x, half y) { return {x, y}; }
static inline half4 make_half4(half x, half y, half z, half w) { return {x, y, z, w}; }

struct Index {
  unsigned x, y, z;
};
static Index threadIdx, blockIdx;

#define __expf expf
#define __logf logf
#define __powf powf

// The wait that is left out, by its number in the source.
extern "C" int emulator_skipped;
int emulator_skipped = -1;

extern "C" int emulator_misaligned;
int emulator_misaligned = 0;

// So many blocks are run, evenly spread over all; 0: all of them.
extern "C" int emulator_blocks;
int emulator_blocks = 0;

namespace emulator {

// A copy to shared memory that has been asked for. It arrives when it is waited for, or at once: either shows another
// kind of missing wait, one for what is read and one for what is written over.
struct Copy {
  void* to;
  const void* from;
  int bytes;
};

struct Fiber {
  ucontext_t context;
  jmp_buf left;  // where it goes on
  std::vector<char> stack;
  Index index;
  bool started = false;
  bool done = false;
  std::vector<Copy> asked;                // since the last group of copies was closed
  std::deque<std::vector<Copy>> arriving;  // groups of copies, the oldest first
};

// What threads wait at for each other. One that has returned is waited for no more.
struct Barrier {
  int threads = 0, arrived = 0, returned = 0;
  long turn = 0;

  void look() {
    if (arrived == 0 || arrived + returned < threads) return;
    arrived = 0;
    ++turn;
  }
};

static jmp_buf scheduler;
static std::vector<Fiber> fibers;
static std::vector<Barrier> warps;
static Barrier block;
static int current;
static void (*kernel)();
static bool at_once;
static long passed;  // waits that are over
static uint32_t lanes[1024];

// Jumps, since a switch of contexts asks the system for signals, which takes a hundred times as long.
static void yield() {
  if (_setjmp(fibers[current].left) == 0) _longjmp(scheduler, 1);
}

static void resume(int fiber) {
  current = fiber;
  threadIdx = fibers[fiber].index;
  if (_setjmp(scheduler) != 0) return;
  if (fibers[fiber].started) _longjmp(fibers[fiber].left, 1);
  fibers[fiber].started = true;
  setcontext(&fibers[fiber].context);
}

static bool faulted;

static void fault() {
  ++emulator_misaligned;
  faulted = true;
  _longjmp(scheduler, 1);
}

static void wait_at(Barrier& barrier) {
  const long turn = barrier.turn;
  ++barrier.arrived;
  barrier.look();
  while (barrier.turn == turn) yield();
  ++passed;
}

static void wait_block() { wait_at(block); }

static void wait_warp() { wait_at(warps[current / 32]); }

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

static bool aligned(const void* at, int bytes) { return reinterpret_cast<uintptr_t>(at) % bytes == 0; }

// cp.async, with `wanted` as its predicate: without it zeros are written, and those at once.
static void copy(void* to, const void* from, int bytes, bool wanted = true) {
  if (!aligned(to, bytes) || (wanted && !aligned(from, bytes))) fault();
  if (wanted && at_once)
    memcpy(to, from, bytes);
  else if (wanted)
    fibers[current].asked.push_back({to, from, bytes});
  else
    memset(to, 0, bytes);
}

static void close_group() {
  fibers[current].arriving.push_back(std::move(fibers[current].asked));
  fibers[current].asked.clear();
}

// Until no more than `left` groups are on their way.
static void wait_for_copies(size_t left) {
  auto& arriving = fibers[current].arriving;
  for (; arriving.size() > left; arriving.pop_front())
    for (const Copy& copy : arriving.front()) memcpy(copy.to, copy.from, copy.bytes);
}

static const half* rows[1024];
static float factors[1024][12];  // of mma: eight of the first, four of the second; of TF32 four and two

static unsigned two(half low, half high) {
  unsigned result;
  const half both[2] = {low, high};
  memcpy(&result, both, 4);
  return result;
}

static void wide(float* to, unsigned both) {
  half halves[2];
  memcpy(halves, &both, 4);
  to[0] = static_cast<float>(halves[0]);
  to[1] = static_cast<float>(halves[1]);
}

static float truncated(unsigned bits) {
  bits &= 0xffffe000;
  float result;
  memcpy(&result, &bits, 4);
  return result;
}

// A fiber's: the kernel for a thread of a block after another.
static void body() {
  for (;;) {
    kernel();
    fibers[current].done = true;
    for (Barrier* barrier : {&block, &warps[current / 32]}) {
      ++barrier->returned;
      barrier->look();
    }
    yield();
  }
}

// Run a warp until each of its threads is done or waits for other warps: as far ahead of these as it may ever be, so
// that what it must not write over yet is written over. Whether threads are left.
static bool run_warp(int warp, int threads, int backwards) {
  const int first = warp * 32, count = threads - first < 32 ? threads - first : 32;
  for (;;) {
    const long before = passed;
    bool left = false;
    for (int k = 0; k < count; ++k) {
      const int i = first + (backwards ? count - 1 - k : k);
      if (fibers[i].done) continue;
      if (faulted) return false;
      resume(i);
      left = left || !fibers[i].done;
    }
    if (!left || passed == before) return left;
  }
}

// `backwards`: the last thread runs first, and asynchronous copies arrive at once.
static void launch(void (*run)(), const int* grid, const int* sizes, int backwards) {
  kernel = run;
  faulted = false;
  at_once = backwards != 0;
  const int threads = sizes[0] * sizes[1] * sizes[2], of_warps = (threads + 31) / 32;
  fibers.clear();
  fibers.resize(threads);
  warps.resize(of_warps);
  for (auto& fiber : fibers) {
    fiber.stack.resize(64 * 1024);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, body, 0);
  }
  const long all = (long)grid[0] * grid[1] * grid[2];
  const long some = emulator_blocks > 0 && emulator_blocks < all ? emulator_blocks : all;
  long number = -1;
  for (unsigned bz = 0; bz < (unsigned)grid[2]; ++bz)
    for (unsigned by = 0; by < (unsigned)grid[1]; ++by)
      for (unsigned bx = 0; bx < (unsigned)grid[0]; ++bx) {
        // The first, the last, and what is between them: of n chosen ones, number k is k (all - 1) / (n - 1).
        if (++number > 0 && some < all && (number * (some - 1) / (all - 1) == (number - 1) * (some - 1) / (all - 1)))
          continue;
        blockIdx = {bx, by, bz};
        for (int i = 0; i < threads; ++i) {
          Fiber& fiber = fibers[i];
          fiber.index = {(unsigned)(i % sizes[0]), (unsigned)(i / sizes[0] % sizes[1]),
                         (unsigned)(i / sizes[0] / sizes[1])};
          fiber.done = false;
          fiber.asked.clear();
          fiber.arriving.clear();
        }
        block = {threads};
        for (int w = 0; w < of_warps; ++w) warps[w] = {threads - 32 * w < 32 ? threads - 32 * w : 32};
        for (bool left = true; left;) {
          left = false;
          for (int w = 0; w < of_warps; ++w)
            left = run_warp(backwards ? of_warps - 1 - w : w, threads, backwards) || left;
        }
        if (faulted) return;
      }
}

}  // namespace emulator

// What -fsanitize=alignment calls in front of such a read or write.
extern "C" void __ubsan_handle_type_mismatch_v1(void*, void*) { emulator::fault(); }

// What warps do on tensor cores, by the layouts of "Matrix Fragments for mma.m16n8k16" and of ldmatrix in the PTX ISA.
namespace edgetune {

static void load(unsigned (&to)[4], const half* row, bool transposed) {
  using namespace emulator;
  if (!aligned(row, 16)) fault();
  rows[current] = row;
  wait_warp();
  const int first = current / 32 * 32, lane = current % 32;
  for (int i = 0; i < 4; ++i) {
    const half* const* matrix = rows + first + 8 * i;
    const int r = lane / 4, c = lane % 4 * 2;
    to[i] = transposed ? two(matrix[c][r], matrix[c + 1][r]) : two(matrix[r][c], matrix[r][c + 1]);
  }
  wait_warp();
}
static void load_rows(unsigned (&to)[4], const half* row) { load(to, row, false); }
static void load_columns(unsigned (&to)[4], const half* row) { load(to, row, true); }

static void multiply(float* sums, const unsigned (&a)[4], unsigned b0, unsigned b1) {
  using namespace emulator;
  float* mine = factors[current];
  for (int i = 0; i < 4; ++i) wide(mine + 2 * i, a[i]);
  wide(mine + 8, b0);
  wide(mine + 10, b1);
  wait_warp();
  const int first = current / 32 * 32, lane = current % 32;
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    double sum = sums[i];
    for (int k = 0; k < 16; ++k) {
      const float* left = factors[first + row % 8 * 4 + k % 8 / 2];
      const float* right = factors[first + column * 4 + k % 8 / 2] + 8;
      sum += static_cast<double>(left[2 * (row / 8 + k / 8 * 2) + k % 2]) * right[k / 8 * 2 + k % 2];
    }
    sums[i] = static_cast<float>(sum);
  }
  wait_warp();
}

// To 10 bits behind the leading one, a half away from zero.
static unsigned rounded(unsigned bits) { return (bits + 0x1000) & 0xffffe000; }

// By "Matrix Fragments for mma.m16n8k8" of .tf32, which leaves out what lies behind these bits.
static void multiply_tf32(float* sums, const unsigned* a, unsigned b0, unsigned b1) {
  using namespace emulator;
  float* mine = factors[current];
  for (int i = 0; i < 4; ++i) mine[i] = truncated(a[i]);
  mine[4] = truncated(b0);
  mine[5] = truncated(b1);
  wait_warp();
  const int first = current / 32 * 32, lane = current % 32;
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    double sum = sums[i];
    for (int k = 0; k < 8; ++k)
      sum += static_cast<double>(factors[first + row % 8 * 4 + k % 4][row / 8 + k / 4 * 2]) *
             factors[first + column * 4 + k % 4][4 + k / 4];
    sums[i] = static_cast<float>(sum);
  }
  wait_warp();
}

}  // namespace edgetune

#define __syncthreads() emulator::wait_block()
#define __syncwarp(...) emulator::wait_warp()
#define __activemask() 0xffffffffu
#define __shfl_sync(mask, value, lane, width) emulator::from_lane(value, (lane))
#define __shfl_down_sync(mask, value, offset, width) emulator::from_lane(value, emulator::current % 32 + (offset))
#define __shfl_up_sync(mask, value, offset, width) emulator::from_lane(value, emulator::current % 32 - (offset))
