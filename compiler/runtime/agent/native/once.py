"""Folders in the user's cache that are made once, whoever wants them first, and are whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from compiler.errors import EdgetuneError

SUMS = "SHA256SUMS"
_KEPT_SECONDS = 14 * 86_400
"""How long a folder that nobody uses stays: another checkout, or another version, may want it again."""


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` in the user's cache; where it is not there, or not as it was made, `make` fills an empty one.

    Processes that want the same at the same time wait for the first. Raises what `make` does, and EdgetuneError where
    the cache cannot be written.
    """
    import platformdirs

    parent = Path(platformdirs.user_cache_dir("edgetune", appauthor=False)) / "agent"
    made = parent / name
    if is_whole(made):
        with contextlib.suppress(OSError):  # somebody else's, or read-only
            os.utime(made)
        return made
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with (parent / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_whole(made):
                _make(made, make)
                _prune(parent, name)
    except OSError as error:
        raise EdgetuneError(f"cannot write {error.filename or parent}: {error.strerror}") from None
    return made


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS over all files of `folder`, as `sha256sum -c` reads it."""
    lines = [f"{digest(path)}  {path.relative_to(folder)}\n" for path in files_of(folder)]
    (folder / SUMS).write_text("".join(lines))


def is_whole(folder: Path) -> bool:
    """Whether the files of `folder` are those of its SHA256SUMS, which is there."""
    try:
        lines = [line.split("  ", 1) for line in (folder / SUMS).read_text().splitlines()]
        return all(digest(folder / name) == known for known, name in lines)
    except (OSError, ValueError):
        return False


def files_of(folder: Path) -> list[Path]:
    """All files in `folder` and below but its SHA256SUMS, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)


def digest(path: Path) -> str:
    """The SHA-256 of a file in hex."""
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def _prune(parent: Path, name: str) -> None:
    """Remove what was made for the same purpose before, and has not been used for long."""
    for path in parent.glob(f"{name.rpartition('-')[0]}-*"):
        if path.name != name and path.stat().st_mtime < time.time() - _KEPT_SECONDS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _make(made: Path, make: Callable[[Path], None]) -> None:
    part = Path(tempfile.mkdtemp(prefix=f"{made.name}.", suffix=".part", dir=made.parent))
    try:
        make(part)
        write_sums(part)
        part.chmod(0o755)
        shutil.rmtree(made, ignore_errors=True)
        part.replace(made)
    finally:
        shutil.rmtree(part, ignore_errors=True)
