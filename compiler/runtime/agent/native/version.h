// Which edgetune and which TVM this is of; compiler/runtime/agent/bundle.py says it to the C++ compiler.
#pragma once

namespace edgetune {

constexpr const char* kVersion = EDGETUNE_VERSION;
constexpr const char* kTvmVersion = EDGETUNE_TVM_VERSION;

}  // namespace edgetune
