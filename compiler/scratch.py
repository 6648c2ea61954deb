"""Temporary folders that do not outlive their process for long, even where it was ended by kill -9.

A folder is locked by whoever uses it, with flock(2) on the folder itself: the system lets go of the lock when the last
process that holds it ends, however it ends, and no number of a process can be somebody else's by then. The first folder
that a process makes has it remove those of ours that nobody holds any more. The agent without Python does the same with
its own (compiler/runtime/agent/native/folder.cc).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "edgetune-scratch-"
"""Nothing else may be called so: it would be removed."""
_swept: set[str] = set()  # folders of temporary files where this process has looked


@contextlib.contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """An empty folder of this user alone, named after `purpose`; gone afterwards. Raises OSError where none can be
    made."""
    path, lock = make_scratch_folder(purpose)
    try:
        yield path
    finally:
        remove_scratch_folder(path, lock)


def make_scratch_folder(purpose: str) -> tuple[Path, int | None]:
    """The same for whoever removes it elsewhere than where it was made: the folder, and the descriptor that holds it.

    Children that are forked hold it too. The descriptor is None where the file system has no locks: such a folder is
    never removed but by `remove_scratch_folder`.
    """
    _sweep(tempfile.gettempdir())
    while True:
        path = tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-")
        try:
            return Path(path), _locked(path)
        except OSError as error:
            # Another process took it for abandoned before it was locked, and removes it.
            if error.errno not in (errno.EWOULDBLOCK, errno.ENOENT):
                return Path(path), None


def remove_scratch_folder(path: Path, lock: int | None) -> None:
    """Remove what `make_scratch_folder` gave, as far as it can be removed."""
    shutil.rmtree(path, ignore_errors=True)
    if lock is not None:
        os.close(lock)


def _sweep(base: str) -> None:
    """Remove what processes that are no more left in `base`, once in each process."""
    if base in _swept:
        return
    _swept.add(base)
    with contextlib.suppress(OSError), os.scandir(base) as entries:
        for path in [entry.path for entry in entries if entry.name.startswith(_PREFIX)]:
            with contextlib.suppress(OSError):  # in use, somebody else's, or just removed by another
                remove_scratch_folder(Path(path), _locked(path))


def _locked(path: str) -> int:
    """A descriptor that holds the folder `path`. Raises OSError where it is not ours or not there, or somebody holds
    it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        opened = os.fstat(descriptor)
        if opened.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(opened, Path(path).lstat()):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
