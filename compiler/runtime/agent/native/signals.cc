#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <initializer_list>

#include "error.h"

namespace edgetune {

namespace {

int writer = -1;

void note(int number) {
  const int kept = errno;
  const auto byte = static_cast<unsigned char>(number);
  if (write(writer, &byte, 1) < 0) errno = 0;  // full: then it is readable anyway
  errno = kept;
}

}  // namespace

Descriptor catch_signals(bool children) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw Error(std::string("no pipe: ") + strerror(errno));
  writer = ends[1];
  struct sigaction action{};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  struct sigaction before{};
  sigaction(SIGHUP, nullptr, &before);
  for (const int number : {SIGTERM, SIGINT, SIGHUP})
    if (number != SIGHUP || before.sa_handler != SIG_IGN) sigaction(number, &action, nullptr);  // nohup is obeyed
  if (children) sigaction(SIGCHLD, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return Descriptor(ends[0]);
}

int asked_to_end(const Descriptor& signals) {
  int end = 0;
  unsigned char bytes[64];
  for (ssize_t count; (count = read(signals.get(), bytes, sizeof bytes)) > 0;)
    for (ssize_t k = 0; k < count; ++k)
      if (bytes[k] != SIGCHLD) end = bytes[k];
  return end;
}

}  // namespace edgetune
