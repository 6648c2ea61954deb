"""JSON lines at the end of a file that other processes append to as well."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from compiler.errors import EdgetuneError


def append_lines(path: Path, values: Iterable[Any]) -> None:
    """One JSON object a line for each of `values`, in one write, so that the lines of parallel runs do not mix.

    Raises EdgetuneError if the disk refuses.
    """
    data = b"".join(msgspec.json.encode(value) + b"\n" for value in values)
    if not data:
        return
    try:
        descriptor = _open(path)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                # Else the end may be the middle of a line that another process is writing right now.
                with suppress(OSError):  # network file systems without locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                # A line that an earlier crash tore must not swallow ours.
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    data = b"\n" + data
            _write(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise EdgetuneError(f"cannot write {path}: {error.strerror or error}") from None


def _open(path: Path) -> int:
    # A pipe that was opened for reading too would have us as its reader, and fill up.
    reading = os.O_RDWR if path.is_file() or not path.exists() else os.O_WRONLY
    return os.open(path, os.O_CREAT | reading | os.O_APPEND, 0o666)


def _write(descriptor: int, data: bytes) -> None:
    while data:  # one turn, but for a disk that is nearly full
        data = data[os.write(descriptor, data) :]
