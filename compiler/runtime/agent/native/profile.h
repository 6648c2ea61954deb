// Profiling a model that is loaded (as compiler/runtime/instrument.py): every call that the virtual machine makes in a run.
#pragma once

#include <string>
#include <string_view>

#include "json.h"
#include "tvm.h"

namespace edgetune {

// The job of `edgetune.profile` (docs/agent-protocol.md).
struct ProfileJob {
  std::string function = "main";
  int runs = 1;
  bool warm_up = true;
  std::string device = "cpu";

  // Throws Error with one line where `text` is no job.
  static ProfileJob parse(std::string_view text);
};

// Instrument the virtual machine `machine`, whose inputs are set, for good, and record runs of it: `Recorded` of
// compiler/runtime/instrument.py. Throws Error, and tvm::ffi::Error where TVM fails.
json::Value profile(const tvm::ffi::Module& machine, const ProfileJob& job);

}  // namespace edgetune
