"""A library with functions that do to a session what bad candidates do."""

from __future__ import annotations

from pathlib import Path

from compiler.linker import linker

_SOURCE = r"""
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <new>

// TVM's calling convention: tvm/ffi/c_api.h.
struct Any { int32_t type; uint32_t padding; int64_t value; };
#define FUNCTION(name) extern "C" __attribute__((visibility("default"))) \
  int __tvm_ffi_##name(void*, const Any* arguments, int32_t count, Any* result)
static int give(Any* result, int64_t value) { result->type = 1; result->padding = 0; result->value = value; return 0; }

FUNCTION(segv) { *(volatile int*)0 = 1; return 0; }
FUNCTION(abort_) { abort(); }
FUNCTION(exit7) { _exit(7); }
FUNCTION(exit0) { exit(0); }
FUNCTION(spin) { for (volatile long i = 0;; i++) {} }
FUNCTION(sleep_) { for (;;) sleep(1000); }
FUNCTION(print) { for (;;) puts("a line that is printed again and again, for as long as one lets it"); }
FUNCTION(eat) { for (;;) memset(new char[1 << 24], 1, 1 << 24); }
// A process that leaves the session's process group, and one that does not; the second one's number is returned.
FUNCTION(start) {
  if (fork() == 0) { setsid(); if (fork() == 0) for (;;) pause(); _exit(0); }
  int child = fork();
  if (child == 0) { signal(SIGTERM, SIG_IGN); for (;;) pause(); }
  usleep(50000);
  return give(result, child);
}
FUNCTION(pid) { return give(result, getpid()); }
// How often this was called in this process: more than once says that something was left by another session.
static int calls = 0;
FUNCTION(calls) { return give(result, ++calls); }
FUNCTION(litter) {
  setenv("EDGETUNE_LITTER", "1", 1);
  mkdir("folder", 0);
  close(creat("folder/file", 0));
  return chdir("/");
}
FUNCTION(has_litter) { return give(result, getenv("EDGETUNE_LITTER") != NULL); }
FUNCTION(oom_score) {
  char text[16] = "";
  int file = open("/proc/self/oom_score_adj", O_RDONLY);
  if (read(file, text, 15) < 0) text[0] = 0;
  return give(result, atoi(text));
}
"""


def library(folder: Path, triple: str | None = None) -> Path:
    """`trouble.so` in `folder`."""
    source, made = folder / "trouble.cc", folder / "trouble.so"
    source.write_text(_SOURCE)
    linker(triple)(str(made), [str(source)])
    return made
