"""What was fetched from a remote and is still needed: a file is there whole and verified, or it is not there."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from compiler.errors import EdgetuneError
from compiler.records.remote.names import is_digest
from compiler.records.remote.remote import TransientError
from compiler.records.remote.retry import retrying

_LEFT_BEHIND_S = 24 * 3600.0
_PATIENCE_S = 60.0
_SLOWEST = 8 << 10  # bytes a second, over the whole of a transfer: a server that drips must not hold us for ever
_CHUNK = 1 << 20
_ROUNDS = 3
_SCRATCH = "scratch-"


class _CutError(TransientError):
    """Fewer bytes than there must be: a connection that broke without a word, or that is all there is."""


class Cache:
    """A folder of files that are named by their SHA-256."""

    def __init__(self, folder: Path) -> None:
        """Raises EdgetuneError where the folder cannot be made."""
        self.folder = folder
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgetuneError(f"cannot make the folder {self.folder}: {error.strerror}") from None
        self._tidy()

    def path(self, digest: str) -> Path:
        """Where the file with that SHA-256 is, or will be."""
        return self.folder / digest

    def has(self, digest: str) -> bool:
        """Whether it is there, and still what it is called: a crash of the machine can leave less, or nothing."""
        hashed = hashlib.sha256()
        try:
            with self.path(digest).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    hashed.update(chunk)
        except OSError:
            return False
        return hashed.hexdigest() == digest

    def fetch(self, digest: str, chunks: Callable[[], Iterator[bytes]], limit: int, size: int | None = None) -> bool:
        """Makes sure that it is there, read by `chunks`; False if it was already.

        No more than `limit` bytes are read; `size` is how many there must be. Raises EdgetuneError where what comes has
        another SHA-256, or is shorter, TransientError where the remote could not be reached each time.
        """
        if self.has(digest):
            return False
        try:
            retrying(lambda: self._fetch(digest, chunks, limit, size))
        except _CutError as error:
            raise EdgetuneError(str(error)) from None
        return True

    def read(self, digest: str, chunks: Callable[[], Iterator[bytes]], limit: int) -> tuple[bytes, bool]:
        """As `fetch`, with the bytes: what another process removed in between is fetched again."""
        for _ in range(_ROUNDS):
            fetched = self.fetch(digest, chunks, limit)
            try:
                return self.path(digest).read_bytes(), fetched
            except FileNotFoundError:
                continue
            except OSError as error:
                raise EdgetuneError(f"cannot read {self.path(digest)}: {error.strerror}") from None
        raise EdgetuneError(f"{self.path(digest)} is removed as soon as it is there")

    def drop(self, digest: str) -> None:
        """Removes it."""
        with suppress(OSError):
            self.path(digest).unlink()

    def keep_only(self, digests: Iterable[str]) -> None:
        """Removes everything else that is complete."""
        wanted = set(digests)
        for path in self.folder.iterdir():
            if is_digest(path.name) and path.name not in wanted:
                self.drop(path.name)

    def scratch(self) -> tempfile.TemporaryDirectory[str]:
        """A folder for as long as it is open; what a killed process leaves in it is removed a day later."""
        try:
            return tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=self.folder)
        except OSError as error:
            raise EdgetuneError(f"cannot make a folder in {self.folder}: {error.strerror}") from None

    def _fetch(self, digest: str, chunks: Callable[[], Iterator[bytes]], limit: int, size: int | None) -> None:
        temporary = self.folder / f"{digest}.{os.getpid()}.{secrets.token_hex(4)}"
        hashed = hashlib.sha256()
        got = 0
        begun = time.monotonic()
        try:
            with temporary.open("xb") as file:
                for chunk in chunks():
                    got += len(chunk)
                    if got > limit:
                        raise EdgetuneError(f"{digest[:12]} is larger than it may be ({limit} bytes)")
                    if time.monotonic() - begun > _PATIENCE_S + got / _SLOWEST:
                        raise EdgetuneError(f"{digest[:12]} comes too slowly: {got} bytes so far")
                    hashed.update(chunk)
                    file.write(chunk)
                if size is not None and got < size:
                    raise _CutError(f"{digest[:12]} ends after {got} of {size} bytes")
                if hashed.hexdigest() != digest:
                    raise EdgetuneError(f"{digest[:12]} holds something else: its SHA-256 is another")
            # No sync: a pull of a thousand parts would wait a thousand times, and `has` looks at what is there.
            temporary.replace(self.path(digest))
        except OSError as error:
            raise EdgetuneError(f"cannot write {temporary}: {error.strerror}") from None
        finally:
            with suppress(OSError):
                temporary.unlink()

    def _tidy(self) -> None:
        """Removes what killed pulls left behind; what is a day old is nobody's any more."""
        for path in self.folder.iterdir():
            with suppress(OSError):
                if is_digest(path.name) or path.stat().st_mtime > time.time() - _LEFT_BEHIND_S:
                    continue
                if path.name.startswith(_SCRATCH):
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


def caches(url: str) -> tuple[Cache, Cache]:
    """Of the remote at `url`, below the user's cache folder: its index entries, which stay while the remote has them,
    and parts that are on their way into a store.
    """
    folder = _folder(url)
    return Cache(folder / "entries"), Cache(folder / "parts")


def signature_cache(url: str) -> Cache:
    """Of the statements of signers that the remote at `url` holds."""
    return Cache(_folder(url) / "signatures")


def _folder(url: str) -> Path:
    import platformdirs

    root = Path(platformdirs.user_cache_dir("edgetune", appauthor=False))
    return root / "logs" / hashlib.sha256(url.encode()).hexdigest()[:32]
