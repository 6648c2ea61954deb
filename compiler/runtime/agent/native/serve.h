// What a session's process does.
#pragma once

#include <string>

#include "json.h"

namespace edgetune {

// Tell the client that it is accepted by `key`'s board, and serve it until it ends the session, with files in `folder`.
// Returns the exit status of the process: Session::kDone or kFailed.
int serve(int client, const std::string& folder, const std::string& key, const json::Value& gpu);

}  // namespace edgetune
