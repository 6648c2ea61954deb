// What the desk may call in a session (*Functions* in docs/agent-protocol.md).
#pragma once

#include <string>

#include "json.h"

namespace edgetune {

// Register them with TVM; files are those in `folder`, `gpu` is the board's as `identity` tells it.
void register_functions(const std::string& folder, const json::Value& gpu);

}  // namespace edgetune
