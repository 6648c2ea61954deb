#include "tvm.h"

#include "text.h"

namespace edgetune {

namespace ffi = tvm::ffi;

ffi::Function tvm_function(const char* name) { return ffi::Function::GetGlobalRequired(name); }

ffi::Module load_library(const std::string& path) {
  if (path.size() < 3 || path.compare(path.size() - 3, 3, ".so") != 0)
    throw ffi::Error("RuntimeError", path + " would have to be linked on the board: export a shared library (.so)", "");
  static const ffi::Function load = tvm_function("ffi.ModuleLoadFromFile");
  return load(ffi::String(path)).cast<ffi::Module>();
}

std::string one_line(const ffi::Error& error) {
  const std::string message = error.message();
  const std::string_view text = strip(message);
  return error.kind() + ": " + std::string(text.substr(0, text.find('\n')));
}

}  // namespace edgetune
