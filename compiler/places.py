"""Where a command writes: what will not do is refused before the work, so that an hour's result is not lost at its end.

Every function raises EdgetuneError where the place does not take a file, and UsageError where the file that is there
is somebody else's.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from compiler.errors import EdgetuneError, UsageError


def must_replace(path: Path, option: str, *, kind: str, begins: bytes, sources: tuple[str | None, ...] = ()) -> None:
    """`path`, given with `option`, can be written anew: what is there is of our `kind`, or nothing.

    begins: the bytes with which every file of that kind begins. sources: the files that are read, which stay.
    """
    if path.is_dir():
        raise EdgetuneError(f"cannot write {path}: it is a folder")
    for source in sources:
        if source is not None and _same(path, Path(source)):
            raise UsageError(f"{option} {path}: this is the file that is read; give another name")
    if os.path.lexists(path) and not _begins(path, begins):
        raise UsageError(f"{option} {path}: this file exists and is no {kind}; give another name, or remove it first")
    must_hold_files(path.absolute().parent, path)


def must_append(path: Path, option: str) -> None:
    """Lines of JSON can be put at the end of `path`, given with `option`."""
    if path.is_dir():
        raise EdgetuneError(f"cannot write {path}: it is a folder")
    if not path.exists():
        must_hold_files(path.absolute().parent, path)
        return
    if not os.access(path, os.W_OK):
        raise EdgetuneError(f"cannot write {path}: the file is not writable")
    # A pipe or a terminal takes lines as they come; to read from it would take them from whoever it is for.
    if path.is_file() and not _begins(path, b"{"):
        raise UsageError(f"{option} {path}: this file exists and holds no JSON lines; give another name")


def must_hold_files(folder: Path, path: Path) -> None:
    """`path` can be made in `folder`."""
    if not folder.is_dir():
        raise EdgetuneError(f"cannot write {path}: there is no folder {folder}")
    # Only making one tells: permissions say nothing of read-only and virtual file systems, and nothing to root.
    # It is named as what is written on the way to `path`, at its longest: names have a limit.
    probe = folder / f".{path.name}.{secrets.token_hex(16)}"
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        probe.unlink()
    except OSError as error:
        raise EdgetuneError(f"cannot write {path}: no file can be made in {folder} ({error.strerror})") from None


def make_folder(path: Path, option: str) -> None:
    """The folder `path`, given with `option`, is there and takes files."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgetuneError(f"{option} {path}: cannot make this folder ({error.strerror})") from None
    must_hold_files(path, path)


def _same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:
        return False  # one of them is not there


def _begins(path: Path, begins: bytes) -> bool:
    """Whether the file begins so; an empty one does, since nothing of it can be lost. False for what is no file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            found = file.read(len(begins))
    except OSError as error:
        raise EdgetuneError(f"cannot write {path}: {error.strerror}") from None
    return found in (b"", begins)
