#include "runtime.h"

#include <dlfcn.h>

#include <string>

#include "error.h"

namespace edgetune {

void load_runtime_extra() {
  // Found beside the program: that is its run path.
  if (dlopen("libtvm_runtime_extra.so", RTLD_NOW | RTLD_LOCAL) == nullptr)
    throw Error(std::string("this folder is not complete: ") + dlerror());
}

void load_runtime_cuda() { dlopen("libtvm_runtime_cuda.so", RTLD_NOW | RTLD_LOCAL); }

}  // namespace edgetune
