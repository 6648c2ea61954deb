// Signals as something that a loop can wait for.
#pragma once

#include "descriptor.h"

namespace edgetune {

// A descriptor that becomes readable when one of SIGTERM, SIGINT and SIGHUP arrives, or SIGCHLD if `children` says so.
// SIGPIPE is ignored.
Descriptor catch_signals(bool children);

// Empty the descriptor; returns the number of a signal that asks this process to end, 0 if there was none.
int asked_to_end(const Descriptor& signals);

}  // namespace edgetune
