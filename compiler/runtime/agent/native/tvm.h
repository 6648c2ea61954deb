// TVM's runtime as the agent uses it: functions by name, libraries, tensors. Every call goes through the C interface of
// tvm_ffi, in both directions: exceptions cannot cross between code that was built with different C++ libraries, as where
// Zig has built the agent.
#pragma once

#include <tvm/ffi/c_api.h>
// The C functions are the libraries'. What the other headers define is this program's own: the exceptions' types above all,
// which TVM would else take from here.
#undef TVM_FFI_DLL
#define TVM_FFI_DLL
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <cstddef>
#include <string>
#include <utility>

namespace edgetune {

// TVM's function of this name. Throws tvm::ffi::Error where there is none.
tvm::ffi::Function tvm_function(const char* name);

// Call a function of TVM's, or of a library's. Throws tvm::ffi::Error.
tvm::ffi::Any call_packed(const tvm::ffi::Function& function, const tvm::ffi::AnyView* arguments, std::size_t count);

template <typename... Arguments>
tvm::ffi::Any call(const tvm::ffi::Function& function, Arguments&&... arguments) {
  tvm::ffi::AnyView packed[sizeof...(Arguments) + 1];
  tvm::ffi::PackedArgs::Fill(packed, std::forward<Arguments>(arguments)...);
  return call_packed(function, packed, sizeof...(Arguments));
}

// The device of a kind: `cpu` or `cuda`. Throws Error for another.
DLDevice device_of(const std::string& kind);

// `function` as one that TVM calls through the C interface.
tvm::ffi::Function through_c(tvm::ffi::Function function);

// Make `function` one that TVM calls by this name.
void define_function(const char* name, tvm::ffi::Function function);

// Load a shared library that TVM has built. Throws tvm::ffi::Error.
tvm::ffi::Module load_library(const std::string& path);

// A library's function of this name, if it has one.
tvm::ffi::Optional<tvm::ffi::Function> function_of(const tvm::ffi::Module& library, const char* name);

// What went wrong, in one line.
std::string one_line(const tvm::ffi::Error& error);

}  // namespace edgetune
