"""Files that are made once and found again by what they were made of: bounded in size, for any number of processes.

A file ends with the SHA-256 of what it holds, and gets its name when it is whole: whoever is killed while it writes
leaves nothing that is taken for an entry, and what a disk has damaged is made anew.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PART = ".part"
_ABANDONED_SECONDS = 3600.0  # after which what somebody has begun to write is nobody's
_CHUNK = 1 << 20
_DIGEST_BYTES = hashlib.sha256().digest_size


def key_of(parts: Iterable[str]) -> str:
    """A name for what is made of `parts`; other parts, or the same ones cut otherwise, have another name."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode()
        digest.update(f"{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


def cache_folder(name: str) -> Path:
    """Where the user's cache keeps what is called `name`."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("edgetune", appauthor=False)) / "cuda" / name


@dataclass(frozen=True)
class FileCache:
    """Files `KEY.SUFFIX` in `folder`, at most `max_bytes` of them: what was not used for longest goes first.

    A folder that cannot be written costs nothing but that everything is made anew.
    """

    folder: Path
    suffix: str
    max_bytes: int

    @contextmanager
    def reading(self, key: str) -> Iterator[tuple[BinaryIO, int] | None]:
        """The file of `key`, at its beginning, and how many bytes it holds; None where there is none that is whole."""
        try:
            file = self._path(key).open("rb")
        except OSError:
            yield None
            return
        with file:
            size = _whole(file)
            if size is None:
                yield None
                return
            with suppress(OSError):
                os.utime(self._path(key))
            file.seek(0)
            yield file, size

    def read(self, key: str) -> bytes | None:
        """What the file of `key` holds, or None."""
        with self.reading(key) as found:
            return None if found is None else found[0].read(found[1])

    def write(self, key: str, chunks: Iterable[bytes]) -> None:
        """Keep `chunks`, one after another, as the file of `key`; unless that is more than half of all there may be."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(dir=self.folder, suffix=_PART)
            try:
                digest, size = hashlib.sha256(), 0
                with os.fdopen(descriptor, "wb") as file:
                    for chunk in chunks:
                        size += len(chunk)
                        if size > self.max_bytes // 2:
                            return
                        digest.update(chunk)
                        file.write(chunk)
                    file.write(digest.digest())
                Path(draft).replace(self._path(key))
            finally:
                Path(draft).unlink(missing_ok=True)
            self._prune()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.{self.suffix}"

    def _prune(self) -> None:
        files = []
        for path in self.folder.iterdir():
            with suppress(OSError):
                state = path.stat()
                if path.suffix == _PART:
                    if time.time() - state.st_mtime > _ABANDONED_SECONDS:
                        path.unlink()
                elif path.suffix == f".{self.suffix}":
                    files.append((state.st_mtime, state.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.max_bytes:
                return
            with suppress(OSError):
                path.unlink()
            total -= size


def _whole(file: BinaryIO) -> int | None:
    """The bytes in front of the digest at the end of `file`; None where it is not theirs."""
    left = size = os.fstat(file.fileno()).st_size - _DIGEST_BYTES
    if size < 0:
        return None
    digest = hashlib.sha256()
    while left:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            return None
        digest.update(chunk)
        left -= len(chunk)
    return size if file.read() == digest.digest() else None
