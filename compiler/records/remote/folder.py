"""A folder as a remote: on this machine's disk, or on one that several machines share."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from compiler.errors import EdgetuneError
from compiler.records.remote.files import FileRemote
from compiler.records.remote.remote import MissingError

_CHUNK = 1 << 20
_INCOMING = "incoming"
_LEFT_BEHIND_S = 24 * 3600.0


class FolderRemote(FileRemote):
    """Files below `root`, which the first push makes, but not what it lies in. No link below it is followed."""

    workers = 4

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.url = str(self.root)
        self._tidied = False

    def is_new(self) -> bool:
        return not os.path.lexists(self.root)

    def list_below(self, top: str) -> Iterator[str]:
        if not os.path.lexists(self.root):
            raise EdgetuneError(f"there is no folder {self.root}")
        try:
            with self._folder(top) as index:
                for fingerprint in sorted(_names(index)):
                    try:
                        with _below(index, fingerprint) as folder:
                            yield from (f"{top}/{fingerprint}/{name}" for name in sorted(_names(folder)))
                    except OSError as error:
                        if error.errno not in (errno.ENOTDIR, errno.ELOOP, errno.ENOENT):  # a file or a link: not ours
                            raise
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._failed("read", top, error) from None

    def chunks(self, path: str) -> Iterator[bytes]:
        folder, _, name = path.rpartition("/")
        try:
            with self._folder(folder) as where:
                # O_NONBLOCK: to open a pipe would wait for whoever writes into it.
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=where)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise EdgetuneError(f"{self.root / path} is not a regular file")
                while chunk := file.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise self._failed("read", path, error) from None

    def put(self, path: str, source: Path | bytes) -> None:
        folder, _, name = path.rpartition("/")
        temporary = f"{name}.{secrets.token_hex(8)}"
        try:
            if self.is_new():
                self.root.mkdir(exist_ok=True)
            with self._folder(_INCOMING, make=True) as incoming, self._folder(folder, make=True) as where:
                self._tidy(incoming)
                try:
                    # 0666 less the umask: others read it, and the group of a shared folder decides who writes.
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                    with os.fdopen(os.open(temporary, flags, 0o666, dir_fd=incoming), "wb") as file:
                        _copy(source, file.fileno())
                        os.fsync(file.fileno())
                    os.rename(temporary, name, src_dir_fd=incoming, dst_dir_fd=where)
                    os.fsync(where)
                finally:
                    with suppress(OSError):
                        os.unlink(temporary, dir_fd=incoming)
        except OSError as error:
            raise self._failed("write", path, error) from None

    def size(self, path: str) -> int | None:
        folder, _, name = path.rpartition("/")
        try:
            with self._folder(folder) as where:
                found = os.stat(name, dir_fd=where, follow_symlinks=False)
        except OSError:
            return None  # whatever is wrong, writing will say it
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def delete(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        try:
            with self._folder(folder) as where:
                os.unlink(name, dir_fd=where)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._failed("remove", path, error) from None

    @contextmanager
    def _folder(self, path: str, make: bool = False) -> Iterator[int]:
        """A descriptor of the folder at `path` below the root; none of the steps there may be a symbolic link."""
        with ExitStack() as stack:
            where = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, where)
            for step in path.split("/") if path else ():
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(step, dir_fd=where)
                        os.fsync(where)
                where = stack.enter_context(_below(where, step))
            yield where

    def _tidy(self, incoming: int) -> None:
        """Removes what killed pushes left behind, once; a push that is under way is not a day old."""
        if self._tidied:
            return
        self._tidied = True
        for name in _names(incoming):
            with suppress(OSError):
                if os.stat(name, dir_fd=incoming, follow_symlinks=False).st_mtime < time.time() - _LEFT_BEHIND_S:
                    os.unlink(name, dir_fd=incoming)

    def _failed(self, what: str, path: str, error: OSError) -> EdgetuneError:
        if isinstance(error, FileNotFoundError) and self.is_new():
            return EdgetuneError(f"cannot {what} {self.root}: there is no folder {self.root.parent}")
        if isinstance(error, FileNotFoundError):
            return MissingError(f"{self.root / path} is not there")
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            return EdgetuneError(
                f"cannot {what} {self.root / path}: a link lies there, or a file where a folder should be"
            )
        return EdgetuneError(f"cannot {what} {self.root / path}: {error.strerror}")


@contextmanager
def _below(where: int, name: str) -> Iterator[int]:
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=where)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as found:
        return [entry.name for entry in found]


def _copy(source: Path | bytes, descriptor: int) -> None:
    if isinstance(source, bytes):
        _write(descriptor, source)
        return
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            _write(descriptor, chunk)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
