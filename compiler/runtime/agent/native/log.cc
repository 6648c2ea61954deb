#include "log.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

namespace edgetune {

namespace {

constexpr std::size_t kLongest = 2000;  // less than what a pipe takes at once

void write_line(std::string_view text, const char* colour, const char* plain) {
  std::string line;
  for (const char c : text.substr(0, kLongest)) line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  const time_t seconds = time(nullptr);
  tm parts{};
  localtime_r(&seconds, &parts);
  char stamp[32] = "";
  strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &parts);
  line = format("%s %s%s%s\n", stamp, colour, line.c_str(), plain);
  pollfd ready{STDERR_FILENO, POLLOUT, 0};
  if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) return;
  if (write(STDERR_FILENO, line.data(), line.size()) < 0) return;  // there is nobody to tell it to
}

}  // namespace

void log_line(std::string_view text) { write_line(text, "", ""); }

void log_warning(std::string_view text) {
  const bool terminal = isatty(STDERR_FILENO) != 0;
  write_line(text, terminal ? "\x1b[31m" : "", terminal ? "\x1b[0m" : "");
}

}  // namespace edgetune
