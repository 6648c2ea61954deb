#include "tvm.h"

#include "error.h"
#include "text.h"

namespace edgetune {

namespace ffi = tvm::ffi;

ffi::Function tvm_function(const char* name) { return ffi::Function::GetGlobalRequired(name); }

ffi::Any call_packed(const ffi::Function& function, const ffi::AnyView* arguments, std::size_t count) {
  ffi::Any result;
  auto* views = reinterpret_cast<TVMFFIAny*>(const_cast<ffi::AnyView*>(arguments));
  if (TVMFFIFunctionCall(ffi::details::ObjectUnsafe::TVMFFIObjectPtrFromObjectRef(function), views,
                         static_cast<int>(count), reinterpret_cast<TVMFFIAny*>(&result)) != 0)
    throw ffi::details::MoveFromSafeCallRaised();
  return result;
}

DLDevice device_of(const std::string& kind) {
  if (kind == "cpu") return {kDLCPU, 0};
  if (kind == "cuda") return {kDLCUDA, 0};
  throw Error("there is no device " + kind);
}

ffi::Function through_c(ffi::Function function) {
  const auto guarded = [](void* self, const TVMFFIAny* arguments, int count, TVMFFIAny* result) -> int {
    TVM_FFI_SAFE_CALL_BEGIN();
    static_cast<ffi::Function*>(self)->CallPacked(reinterpret_cast<const ffi::AnyView*>(arguments), count,
                                                  reinterpret_cast<ffi::Any*>(result));
    TVM_FFI_SAFE_CALL_END();
  };
  const auto remove = [](void* self) { delete static_cast<ffi::Function*>(self); };
  return ffi::Function::FromExternC(new ffi::Function(std::move(function)), guarded, remove);
}

void define_function(const char* name, ffi::Function function) {
  ffi::Function::SetGlobal(name, through_c(std::move(function)), true);
}

ffi::Module load_library(const std::string& path) {
  if (path.size() < 3 || path.compare(path.size() - 3, 3, ".so") != 0)
    throw ffi::Error("RuntimeError", path + " would have to be linked on the board: export a shared library (.so)", "");
  static const ffi::Function load = tvm_function("ffi.ModuleLoadFromFile");
  return call(load, ffi::String(path)).cast<ffi::Module>();
}

ffi::Optional<ffi::Function> function_of(const ffi::Module& library, const char* name) {
  static const ffi::Function get = tvm_function("ffi.ModuleGetFunction");
  return call(get, library, ffi::String(name), true).cast<ffi::Optional<ffi::Function>>();
}

std::string one_line(const ffi::Error& error) {
  const std::string message = error.message();
  const std::string_view text = strip(message);
  return error.kind() + ": " + std::string(text.substr(0, text.find('\n')));
}

}  // namespace edgetune
