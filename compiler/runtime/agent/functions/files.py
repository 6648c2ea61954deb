"""Files that the desk has uploaded: where they are, what they hold, and libraries among them."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compiler.errors import EdgetuneError

_CHUNK = 1 << 20


class Files:
    """The files of a session, in its `folder`; a name that begins with `/` is used as it is.

    `client` is the connection of its client, which nobody reads from while one of its calls is answered.
    """

    def __init__(self, folder: Path, client: socket.socket | None = None) -> None:
        self._folder = folder
        self._client = client
        self._loads = 0

    def path(self, name: str) -> str:
        """Where the file `name` is or will be; the folders on the way are made."""
        path = self._folder / name
        if not Path(name).is_absolute():
            path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    def load_module(self, name: str) -> Any:
        """The library `name`, loaded. Raises EdgetuneError for an archive of object files: that would need a linker."""
        if name.endswith((".tar", ".o")):
            raise EdgetuneError(f"{name} would have to be linked on the board: export a shared library (.so)")
        import tvm

        with self.fresh(name) as path:
            return tvm.runtime.load_module(path)

    @contextmanager
    def fresh(self, name: str) -> Iterator[str]:
        """The library `name` under a name that was never loaded, within the context: the system's loader gives what it
        has loaded under a name before, whatever the file holds now."""
        path, self._loads = Path(self.path(name)), self._loads + 1
        link = self._folder / f".{self._loads}-{path.name}"
        try:
            link.hardlink_to(path)
        except OSError:  # it is not there, which loading tells, or on another file system: a package that was deployed
            yield str(path)
            return
        try:
            yield str(link)
        finally:
            link.unlink()

    def upload(self, name: str, data: bytes) -> None:
        """Write the file `name` anew: beside one of that name which is loaded, not over it. Raises EdgetuneError where
        the disk refuses."""
        path = Path(self.path(name))
        try:
            path.unlink(missing_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise EdgetuneError(f"{name}: {error.strerror}") from None

    def append(self, name: str, data: bytes) -> int:
        """Put `data` at the end of the file `name`, which is made where it is not there; returns its size in bytes.

        Raises EdgetuneError where the disk refuses.
        """
        try:
            with Path(self.path(name)).open("ab") as file:
                file.write(data)
                return file.tell()
        except OSError as error:
            raise EdgetuneError(f"{name}: {error.strerror}") from None

    def receive(self, name: str, size: int, _mark: str) -> int:
        """Put the next `size` bytes of the connection at the end of the file `name`; returns its size in bytes.

        Raises EdgetuneError where the disk refuses, with all of them read, and where the connection ends.
        """
        if self._client is None or size < 0:
            raise EdgetuneError("nothing can be received here")
        refused = None
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(Path(self.path(name)).open("ab", buffering=0))
            except OSError as error:
                refused = error
            buffer = memoryview(bytearray(_CHUNK))
            while size:
                count = self._client.recv_into(buffer[: min(size, _CHUNK)])
                if not count:
                    raise EdgetuneError("the connection ended")
                size -= count
                part = buffer[:count]
                while part and refused is None:
                    try:
                        part = part[file.write(part) :]
                    except OSError as error:
                        refused = error
            if refused is None:
                return file.tell()
        raise EdgetuneError(f"{name}: {refused.strerror}")

    def sha256(self, name: str) -> str:
        """The SHA-256 of the file `name` in hex. Raises EdgetuneError where it cannot be read."""
        digest = hashlib.sha256()
        try:
            with Path(self.path(name)).open("rb") as file:
                while data := file.read(_CHUNK):
                    digest.update(data)
        except OSError as error:
            raise EdgetuneError(f"{name}: {error.strerror}") from None
        return digest.hexdigest()
