// Runs on boards whose C library is older than the compiler's.
//
// Symbols of the C library have versions, and a linker takes the newest: a program that is linked with glibc 2.34 or newer
// does not start with an older one, though all that it calls is there. The few names where that matters are bound here to
// the versions that every glibc of this machine's kind has. (Zig does this by itself.)
#include <features.h>

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ) && !defined(__ZIG__)
#if __GLIBC_PREREQ(2, 34)

#include <cstdlib>
#include <sstream>

#if defined(__x86_64__)
#define FIRST "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define FIRST "GLIBC_2.17"
#else
#error "this machine's first version of glibc has to be named here"
#endif

extern "C" {

using Main = int (*)(int, char**, char**);
using Initialise = void (*)(int, char**, char**);

int first_libc_start_main(Main, int, char**, Initialise, void (*)(), void (*)(), void*);
void* first_dlopen(const char*, int);
void* first_dlsym(void*, const char*);
char* first_dlerror();
__asm__(".symver first_libc_start_main, __libc_start_main@" FIRST);
__asm__(".symver first_dlopen, dlopen@" FIRST);
__asm__(".symver first_dlsym, dlsym@" FIRST);
__asm__(".symver first_dlerror, dlerror@" FIRST);

extern Initialise __init_array_start[] __attribute__((visibility("hidden")));
extern Initialise __init_array_end[] __attribute__((visibility("hidden")));

// The linker sends calls of NAME to __wrap_NAME (its option --wrap).

// Since 2.34 the start of a program leaves static constructors to the C library, which did not do that before.
static void construct(int count, char** arguments, char** environment) {
  for (Initialise* one = __init_array_start; one < __init_array_end; ++one) (*one)(count, arguments, environment);
}

int __wrap___libc_start_main(Main main, int count, char** arguments, Initialise initialise, void (*finish)(),
                             void (*finish_libraries)(), void* stack) {
  return first_libc_start_main(main, count, arguments, initialise != nullptr ? initialise : construct, finish,
                               finish_libraries, stack);
}

void* __wrap_dlopen(const char* name, int mode) { return first_dlopen(name, mode); }
void* __wrap_dlsym(void* library, const char* name) { return first_dlsym(library, name); }
char* __wrap_dlerror() { return first_dlerror(); }

// Of glibc 2.32: that there are no other threads, so that counters need not be atomic. They always are, here.
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;

}  // extern "C"

// Of GCC's C++ library 9 and 11, where boards have that of GCC 6: TVM's headers construct such streams, and a vector's
// length that is not possible throws std::bad_alloc in the older ones, which nobody here catches more narrowly.
template class std::basic_stringbuf<char>;
template class std::basic_ostringstream<char>;

namespace std {
[[noreturn]] void __throw_bad_array_new_length() { std::abort(); }
}  // namespace std

#endif
#endif
