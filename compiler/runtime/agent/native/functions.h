// What the desk may call in a session (*Functions* in docs/agent-protocol.md).
#pragma once

#include <string>

#include "json.h"

namespace edgetune {

// Register them with TVM; files are those in `folder`, `gpu` is the board's as `identity` tells it, `client` the session's
// connection.
void register_functions(const std::string& folder, const json::Value& gpu, int client);

}  // namespace edgetune
