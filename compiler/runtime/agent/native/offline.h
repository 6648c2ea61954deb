// `edgetune-agent measure BATCH RESULTS`: measure a batch that was carried to this board (docs/offline.md).
#pragma once

#include <string>

namespace edgetune {

// Measure what the batch holds and `results` does not say yet. Returns the exit status: 0, or 130 and 143 after SIGINT and
// SIGTERM. Throws Error with one line.
int measure_batch(const std::string& batch, const std::string& results);

}  // namespace edgetune
