// The agent's log: lines on standard error, with the time.
#pragma once

#include <string>
#include <string_view>

namespace edgetune {

// Write one line. It is dropped where standard error takes none at the moment: nobody who does not read it may hold up
// the agent. Control characters, which a stranger's bytes may hold, become question marks.
void log_line(std::string_view text);

// As `log_line`, in red on a terminal.
void log_warning(std::string_view text);

}  // namespace edgetune
