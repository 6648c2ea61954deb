// What the board is (*identity* of docs/agent-protocol.md), as Linux says it: the desk draws the conclusions.
#pragma once

#include <string>

#include "json.h"

namespace edgetune {

// `gpu` is what the device's driver says (gpu.h), or null.
json::Value identity(const json::Value& gpu, const std::string& root = "");

}  // namespace edgetune
