"""Limits that a process sets itself before it looks at what came from elsewhere: it cannot get them back."""

from __future__ import annotations

import contextlib
import ctypes
import resource
from pathlib import Path

MAX_EXTRA_BYTES = 1 << 30
"""Memory beyond what TVM itself takes; applying a trace takes a few megabytes."""
_PR_SET_NO_NEW_PRIVS = 38  # of linux/prctl.h


def confine(extra_bytes: int = MAX_EXTRA_BYTES) -> None:
    """No file can be opened or grow, no process or connection be made, and memory is bounded, from here on.

    Whatever is needed has to be loaded and open. Linux keeps all of it; other systems what they know of.
    """
    size = _virtual_bytes()  # first: it is read from a file
    highest = max(_open_files(), default=63)
    _limit(resource.RLIMIT_NOFILE, highest + 1)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(getattr(resource, "RLIMIT_NPROC", None), 0)
    if size is not None:
        _limit(resource.RLIMIT_AS, size + extra_bytes)
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def allow_seconds(seconds: float) -> None:
    """The kernel ends this process once it has computed for `seconds` more, whatever it is doing then."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime + seconds) + 1
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _limit(what: int | None, value: int) -> None:
    if what is not None:
        with contextlib.suppress(ValueError, OSError):  # a system that does not know it, or has a lower one
            resource.setrlimit(what, (value, value))


def _open_files() -> list[int]:
    for folder in (Path("/proc/self/fd"), Path("/dev/fd")):
        with contextlib.suppress(OSError):
            # Without the one with which the folder itself is listed.
            return [int(entry.name) for entry in folder.iterdir() if entry.name.isdigit() and entry.exists()]
    return []


def _virtual_bytes() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return None
