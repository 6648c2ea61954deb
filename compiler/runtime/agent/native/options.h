// The command line.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace edgetune {

struct Options {
  std::string listen = "127.0.0.1";
  int port = 9090;  // 0: any free one
  std::string key = "edgetune";
  std::optional<std::pair<std::string, int>> tracker;  // host and port
  double session_limit = 3600;                          // seconds
  std::optional<long long> memory_limit;                // bytes
  bool until_eof = false;
  std::optional<double> heartbeat;  // seconds that standard input may be silent
  bool insecure = false;
  bool help = false;
  bool version = false;
};

extern const char kHelp[];

// Throws UsageError with one line that says what is wrong.
Options parse_options(int count, char** arguments);

// Whether `address`, a numeric one, reaches only this machine.
bool is_loopback(const std::string& address);

}  // namespace edgetune
