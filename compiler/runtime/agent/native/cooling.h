// Waiting for a board to cool down.
#pragma once

#include <string>

#include "json.h"

namespace edgetune {

// Wait until no sensor under `root` reads more than `celsius`, at most `seconds`; the answer of `edgetune.cool_down`.
json::Value cool_down(double celsius, double seconds, const std::string& root = "");

}  // namespace edgetune
