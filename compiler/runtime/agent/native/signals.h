// Signals as something that a loop can wait for.
#pragma once

#include "descriptor.h"

namespace edgetune {

// A descriptor that becomes readable when one of SIGTERM, SIGINT, SIGHUP and SIGCHLD arrives. SIGPIPE is ignored.
Descriptor catch_signals();

// Empty the descriptor; returns whether one of the signals was not SIGCHLD.
bool asked_to_end(const Descriptor& signals);

}  // namespace edgetune
