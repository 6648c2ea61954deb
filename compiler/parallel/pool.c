/* The threads that a package's kernels run on, linked into its library in the place of TVM's own pool.
 *
 * TVM divides a parallel loop into one equal part a thread, so that a thread which the machine takes away for a moment
 * makes all others wait. Here a loop is divided into many small parts. Each thread has a row of neighbouring ones (they
 * share weights and padded rows in its cache), works through it from the front, and when it has done takes parts from
 * the back of another's row: Blumofe and Leiserson, "Scheduling Multithreaded Computations by Work Stealing" (1999).
 *
 * Generated code calls the function pointer __TVMBackendParallelLaunch. TVM's runtime sets that pointer in every library
 * that it loads, if it finds it by name; defined here, and hidden, it is not found and stays. How long a loop is, the
 * code says before (edgetune_parallel_extent); a loop that nobody announced gets one part a thread.
 *
 * The library exports edgetune_set_threads(threads, cpu...) in TVM's calling convention: how many threads, and on which
 * CPU each of them stays (none named: on those of the caller). 0 ends the threads. It returns the number of threads.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* A linker takes the newest version of a symbol: linked with glibc 2.34 or newer, which moved these functions, a library
 * would not load on boards whose glibc is older. They are bound to the versions that every glibc of the machine has.
 * (Zig does this by itself.) */
#if defined(__GLIBC_PREREQ) && !defined(__ZIG__)
#if __GLIBC_PREREQ(2, 34) && (defined(__aarch64__) || defined(__x86_64__))
#if defined(__aarch64__)
#define FIRST "GLIBC_2.17"
#define FIRST_OF_AFFINITY FIRST
#else
#define FIRST "GLIBC_2.2.5"
#define FIRST_OF_AFFINITY "GLIBC_2.3.4"
#endif
__asm__(".symver pthread_create, pthread_create@" FIRST);
__asm__(".symver pthread_join, pthread_join@" FIRST);
__asm__(".symver pthread_mutex_trylock, pthread_mutex_trylock@" FIRST);
__asm__(".symver pthread_setaffinity_np, pthread_setaffinity_np@" FIRST_OF_AFFINITY);
#endif
#endif

enum {
  MAX_THREADS = 256,
  PARTS = 32,              /* parts a thread that a loop is divided into at most */
  CACHE_LINE = 128,        /* two lines: the neighbour is fetched along */
  SPIN_NANOSECONDS = 1000000, /* how long an idle thread looks for work before it sleeps */
  TURNS_A_LOOK = 64        /* turns of waiting between two looks at the clock */
};

/* TVM's side of it: tvm/runtime/c_backend_api.h and tvm/ffi/c_api.h. */
typedef struct {
  void *sync_handle;
  int32_t num_task;
} Environment;
typedef int (*Body)(int task_id, Environment *environment, void *closure);
typedef struct {
  int32_t type_index;
  uint32_t padding;
  int64_t v_int64;
} Any;
enum { TYPE_INT = 1 };
extern void (*__TVMFFIErrorSetRaisedFromCStr)(const char *kind, const char *message) __attribute__((weak));

typedef struct {
  _Alignas(CACHE_LINE) _Atomic uint64_t parts; /* those left to do: the first, and in the upper half the end */
} Row;

static struct {
  Row rows[MAX_THREADS];
  /* The loop under way. It changes only when all its parts are done, and whoever holds a part reads it. */
  _Alignas(CACHE_LINE) Body body;
  void *closure;
  Environment environment;
  _Atomic bool failed;
  _Alignas(CACHE_LINE) _Atomic int left;         /* parts not done */
  _Alignas(CACHE_LINE) _Atomic uint32_t loops;   /* counts the loops begun: idle threads watch it */
  _Atomic int sleeping;
  _Atomic bool ending;
  int threads; /* 0: none were made yet */
  int cpus[MAX_THREADS];
  bool pinned, registered;
  pthread_t others[MAX_THREADS];
  pthread_mutex_t busy;  /* held while a loop runs, and while the threads change */
  pthread_mutex_t sleep;
  pthread_cond_t wake;
} pool = {.busy = PTHREAD_MUTEX_INITIALIZER, .sleep = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static _Thread_local int announced;  /* the extent of the loop that this thread begins next */
static _Thread_local bool within;    /* this thread is in a loop: one within it runs here */

static inline void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static inline uint64_t parts(uint32_t first, uint32_t end) { return (uint64_t)end << 32 | first; }

/* Take a part of `row`, the first or the last; -1 if none is left. */
static inline int take(Row *row, bool last) {
  uint64_t seen = atomic_load_explicit(&row->parts, memory_order_relaxed);
  for (;;) {
    uint32_t first = (uint32_t)seen, end = (uint32_t)(seen >> 32);
    if (first >= end) return -1;
    uint64_t rest = last ? parts(first, end - 1) : parts(first + 1, end);
    if (atomic_compare_exchange_weak_explicit(&row->parts, &seen, rest, memory_order_acq_rel, memory_order_relaxed))
      return (int)(last ? end - 1 : first);
  }
}

/* Work through row `self`, then help the others. */
static void work(int self, int threads) {
  int done = 0;
  for (int k = 0; k < threads; ++k) {
    Row *row = &pool.rows[(self + k) % threads];
    for (int part; (part = take(row, k > 0)) >= 0; ++done)
      if (pool.body(part, &pool.environment, pool.closure) != 0)
        atomic_store_explicit(&pool.failed, true, memory_order_relaxed);
  }
  if (done) atomic_fetch_sub_explicit(&pool.left, done, memory_order_release);
}

static void stay_on(int cpu) {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
#endif
}

/* Wait for a loop that is not the `seen`th; false when the threads are to end. */
static bool next_loop(uint32_t seen) {
  int64_t until = 0;
  for (int turn = 0;; ++turn) {
    if (atomic_load_explicit(&pool.ending, memory_order_relaxed)) return false;
    if (atomic_load_explicit(&pool.loops, memory_order_acquire) != seen) return true;
    pause_briefly();
    if (turn % TURNS_A_LOOK) continue;
    int64_t now = nanoseconds();
    if (!until) until = now + SPIN_NANOSECONDS;
    if (now > until) break;
  }
  pthread_mutex_lock(&pool.sleep);
  atomic_fetch_add(&pool.sleeping, 1);  /* before the count is read: `launch` does it the other way round */
  while (atomic_load(&pool.loops) == seen && !atomic_load(&pool.ending)) pthread_cond_wait(&pool.wake, &pool.sleep);
  atomic_fetch_sub(&pool.sleeping, 1);
  pthread_mutex_unlock(&pool.sleep);
  return !atomic_load(&pool.ending);
}

static void wake_all(void) {
  pthread_mutex_lock(&pool.sleep);
  pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.sleep);
}

static void *serve(void *argument) {
  int self = (int)(intptr_t)argument;
  within = true;
  if (pool.pinned) stay_on(pool.cpus[self]);
  uint32_t seen = 0;
  while (next_loop(seen)) {
    seen = atomic_load_explicit(&pool.loops, memory_order_acquire);
    work(self, pool.threads);
  }
  return NULL;
}

/* End all threads but the caller's. `busy` is held. */
static void end_threads(void) {
  if (pool.threads > 1) {
    atomic_store(&pool.ending, true);
    wake_all();
    for (int i = 1; i < pool.threads; ++i) pthread_join(pool.others[i], NULL);
    atomic_store(&pool.ending, false);
  }
  pool.threads = 0;
}

/* Before the library is unloaded, or the process has ended what the threads still need. */
static void finish(void) {
  pthread_mutex_lock(&pool.busy);
  end_threads();
  pthread_mutex_unlock(&pool.busy);
}

/* Have `threads` threads, or as many as can be made. `busy` is held. */
static void make_threads(int threads) {
  if (threads < 1) threads = 1;
  if (threads > MAX_THREADS) threads = MAX_THREADS;
  if (!pool.registered) {
    pool.registered = true;
    atexit(finish);  /* in a shared library: also when it is unloaded */
  }
  atomic_store(&pool.loops, 0);
  /* Threads read the count: it is right before the first begins, and lower again only if one cannot be made. */
  pool.threads = threads;
  for (int i = 1; i < threads; ++i) {
    if (pthread_create(&pool.others[i], NULL, serve, (void *)(intptr_t)i) != 0) {
      pool.threads = i;
      end_threads();
      pool.threads = 1;
      return;
    }
  }
}

static int default_threads(void) {
  const char *wanted = getenv("TVM_NUM_THREADS");
  if (wanted && atoi(wanted) > 0) return atoi(wanted);
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

static int run_here(Body body, void *closure) {
  Environment alone = {NULL, 1};
  return body(0, &alone, closure);
}

static int launch(Body body, void *closure, int wanted) {
  int extent = announced;
  announced = 0;
  if (within || extent == 1 || pthread_mutex_trylock(&pool.busy) != 0) return run_here(body, closure);
  if (pool.threads == 0) make_threads(default_threads());
  const int threads = pool.threads;
  if (threads == 1) {
    pthread_mutex_unlock(&pool.busy);
    return run_here(body, closure);
  }
  int count = wanted > 0 ? wanted : threads;
  if (extent > 0) {
    /* Parts of equal length, as many as that makes: generated code divides by the count, rounding up. */
    int length = (extent + threads * PARTS - 1) / (threads * PARTS);
    count = (extent + length - 1) / length;
  }
  pool.body = body;
  pool.closure = closure;
  pool.environment.num_task = count;
  atomic_store_explicit(&pool.failed, false, memory_order_relaxed);
  atomic_store_explicit(&pool.left, count, memory_order_relaxed);
  for (int i = 0; i < threads; ++i)
    atomic_store_explicit(&pool.rows[i].parts,
                          parts((uint32_t)((int64_t)count * i / threads), (uint32_t)((int64_t)count * (i + 1) / threads)),
                          memory_order_release);
  atomic_fetch_add(&pool.loops, 1);
  if (atomic_load(&pool.sleeping) > 0) wake_all();
  within = true;
  work(0, threads);
  within = false;
  /* What is left is in the hands of others. Where there are fewer CPUs than threads they need this one. */
  for (int turn = 1; atomic_load_explicit(&pool.left, memory_order_acquire) > 0; ++turn) {
    pause_briefly();
    if (turn % 1024 == 0) sched_yield();
  }
  const bool failed = atomic_load_explicit(&pool.failed, memory_order_relaxed);
  pthread_mutex_unlock(&pool.busy);
  if (failed && &__TVMFFIErrorSetRaisedFromCStr && __TVMFFIErrorSetRaisedFromCStr)
    __TVMFFIErrorSetRaisedFromCStr("RuntimeError", "a part of a parallel loop failed");
  return failed ? -1 : 0;
}

__attribute__((visibility("hidden"))) int (*__TVMBackendParallelLaunch)(Body, void *, int) = launch;

__attribute__((visibility("hidden"))) int edgetune_parallel_extent(int extent) {
  announced = extent;
  return 0;
}

__attribute__((visibility("default"))) int __tvm_ffi_edgetune_set_threads(void *self, const Any *arguments, int32_t count,
                                                                          Any *result) {
  (void)self;
  int threads = count > 0 ? (int)arguments[0].v_int64 : 0;
  pthread_mutex_lock(&pool.busy);
  end_threads();
  pool.pinned = threads > 0 && threads <= MAX_THREADS && count == threads + 1;
  for (int i = 0; pool.pinned && i < threads; ++i) pool.cpus[i] = (int)arguments[i + 1].v_int64;
  if (threads > 0) {
    make_threads(threads);
    if (pool.pinned) stay_on(pool.cpus[0]);
  }
  result->type_index = TYPE_INT;
  result->padding = 0;
  result->v_int64 = pool.threads;
  pthread_mutex_unlock(&pool.busy);
  return 0;
}
