// TVM's runtime as the agent uses it: functions by name, libraries, tensors. Everything goes through the C interface of
// tvm_ffi, which does not care which C++ library either side was built with.
#pragma once

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <string>

namespace edgetune {

// TVM's function of this name. Throws tvm::ffi::Error where there is none.
tvm::ffi::Function tvm_function(const char* name);

// Load a shared library that TVM has built. Throws tvm::ffi::Error.
tvm::ffi::Module load_library(const std::string& path);

// What went wrong, in one line.
std::string one_line(const tvm::ffi::Error& error);

}  // namespace edgetune
