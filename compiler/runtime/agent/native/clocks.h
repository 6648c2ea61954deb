// Two clocks: one that never jumps, for deadlines, and the time of day.
#pragma once

#include <time.h>

namespace edgetune {

inline double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Seconds of a clock that only differences are taken of.
inline double now() { return seconds_of(CLOCK_MONOTONIC); }

// Seconds since 1970, UTC.
inline double time_of_day() { return seconds_of(CLOCK_REALTIME); }

}  // namespace edgetune
