// What the board is (*identity* of docs/agent-protocol.md), as Linux says it: the desk draws the conclusions.
#pragma once

#include <string>

#include "json.h"

namespace edgetune {

// `gpu` is what the device's driver says (gpu.h), or null.
json::Value identity(const json::Value& gpu, const std::string& root = "");

// An identity with fewer processors in its cpuinfo: a tracker tells all its boards at once.
json::Value in_brief(const json::Value& identity);

}  // namespace edgetune
