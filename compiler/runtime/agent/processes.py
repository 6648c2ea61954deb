"""Processes that end with who started them, with all that they have started in turn (Linux, prctl(2))."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_KILL_SECONDS = 1.0


def end_with(parent: int) -> None:
    """Have Linux kill this process when `parent`, which has forked it, ends; end it at once if that has happened."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Make this process the parent of all descendants whose own parents end: `kill_children` then finds them."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def call_it(name: str) -> None:
    """The name of this process in lists of processes, of at most 15 bytes."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)


def kill_children(keep: Collection[int] = ()) -> None:
    """Kill and reap all children of this process but `keep`, and the children that these leave behind."""
    deadline = time.monotonic() + _KILL_SECONDS
    while time.monotonic() < deadline:
        found = [pid for pid in _children() if pid not in keep]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                for _ in range(100):
                    if os.waitpid(pid, os.WNOHANG)[0]:
                        break
                    time.sleep(0.002)


def close_descriptors(keep: Collection[int]) -> None:
    """Close all descriptors of this process but `keep` and the standard ones."""
    for descriptor in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if descriptor > 2 and descriptor not in keep:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(descriptor)


def status_line(status: int) -> str:
    """How a process ended, from its wait status: `SIGSEGV`, or `exit status 7`."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return signal.Signals(number).name
        except ValueError:
            return f"signal {number}"
    return f"exit status {os.WEXITSTATUS(status)}"


def _children() -> list[int]:
    own, found = os.getpid(), []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[1]) == own:
                    found.append(int(folder.name))
    return found


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)
