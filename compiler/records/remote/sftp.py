"""A folder on a machine that is reached by SSH as a remote, by SFTP over a connection as boards have them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from compiler.errors import EdgetuneError
from compiler.records.remote.files import FileRemote
from compiler.records.remote.remote import MissingError, TransientError
from compiler.runtime.ssh.address import parse_destination
from compiler.runtime.ssh.connect import connect

if TYPE_CHECKING:
    from asyncssh import SFTPClient, SSHClientConnection

_T = TypeVar("_T")
_CHUNK = 1 << 20
_OPERATION_S = 120.0
_INCOMING = "incoming"


class SftpRemote(FileRemote):
    """Files in a folder of an SSH server: ssh://USER@HOST/FOLDER, as ~/.ssh/config, known_hosts and keys allow it."""

    def __init__(self, url: str, *, known_hosts: Path | None = None, config: Path | None = None) -> None:
        """known_hosts, config: in place of the user's files of these names."""
        self.url = url.rstrip("/")
        self.address = parse_destination("ssh://" + url.partition("://")[2])
        self.root = (self.address.path or ".").rstrip("/")
        self._known_hosts, self._config = known_hosts, config
        self._connection: SSHClientConnection | None = None
        self._client: SFTPClient | None = None
        self._made: set[str] = set()
        self._connecting = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sftp", daemon=True)
        self._thread.start()

    def close(self) -> None:
        async def end() -> None:
            if self._client is not None:
                self._client.exit()
            if self._connection is not None:
                self._connection.close()
                with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                    await asyncio.wait_for(self._connection.wait_closed(), 3)

        with contextlib.suppress(EdgetuneError):
            self._do(end(), "close", "")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self._loop.close()

    def is_new(self) -> bool:
        async def look() -> bool:
            async with self._sftp() as sftp:
                return not await sftp.exists(self.root)

        return self._do(look(), "look at", "")

    def list_below(self, top: str) -> Iterator[str]:
        async def names() -> list[str]:
            async with self._sftp() as sftp:
                try:
                    folders = await sftp.listdir(f"{self.root}/{top}")
                except _no_such_file():
                    if not await sftp.exists(self.root):
                        raise EdgetuneError(f"{self.url}: there is no such folder") from None
                    return []
                found: list[str] = []
                for folder in sorted(folders):
                    if not folder.startswith("."):
                        with contextlib.suppress(*_no_such_file()):  # a file, or gone meanwhile
                            inside = await sftp.listdir(f"{self.root}/{top}/{folder}")
                            found += [f"{top}/{folder}/{name}" for name in inside]
                return found

        return iter(self._do(names(), "list", top))

    def chunks(self, path: str) -> Iterator[bytes]:
        at = 0

        async def read() -> bytes:
            async with self._sftp() as sftp, sftp.open(f"{self.root}/{path}", "rb") as file:
                return cast(bytes, await file.read(_CHUNK, at))

        while True:
            data = self._do(read(), "read", path)
            if not data:
                return
            yield data
            at += len(data)
            if len(data) < _CHUNK:
                return

    def put(self, path: str, source: Path | bytes) -> None:
        data = source if isinstance(source, bytes) else source.read_bytes()

        async def write() -> None:
            async with self._sftp() as sftp:
                temporary = f"{self.root}/{_INCOMING}/{path.rpartition('/')[2]}.{secrets.token_hex(8)}"
                for folder in (f"{self.root}/{_INCOMING}", f"{self.root}/{path}".rpartition("/")[0]):
                    if folder not in self._made:
                        await sftp.makedirs(folder, exist_ok=True)
                        self._made.add(folder)
                try:
                    async with sftp.open(temporary, "wb") as file:
                        await file.write(data)
                        with contextlib.suppress(_unsupported()):  # OpenSSH has it
                            await file.fsync()
                    await sftp.posix_rename(temporary, f"{self.root}/{path}")
                except BaseException:
                    with contextlib.suppress(Exception):
                        await sftp.remove(temporary)
                    raise

        self._do(write(), "write", path)

    def size(self, path: str) -> int | None:
        async def look() -> int | None:
            async with self._sftp() as sftp:
                try:
                    return (await sftp.stat(f"{self.root}/{path}")).size
                except _no_such_file():
                    return None

        return self._do(look(), "look at", path)

    def delete(self, path: str) -> None:
        async def remove() -> None:
            async with self._sftp() as sftp:
                with contextlib.suppress(*_no_such_file()):
                    await sftp.remove(f"{self.root}/{path}")

        self._do(remove(), "remove", path)

    @asynccontextmanager
    async def _sftp(self) -> AsyncIterator[SFTPClient]:
        """A client, over a connection that is made when it is first needed, and again after it was lost."""
        async with self._connecting:
            if self._client is None or self._connection is None or self._connection.is_closed():
                self._made.clear()
                self._connection = await connect(self.address, known_hosts=self._known_hosts, config=self._config)
                self._client = await self._connection.start_sftp_client()
        yield self._client

    def _do(self, work: Coroutine[Any, Any, _T], what: str, path: str) -> _T:
        """What `work` gives, done on the connection's thread. Raises EdgetuneError in one line."""
        import asyncssh

        where = f"{self.url}/{path}".rstrip("/")
        try:
            return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, _OPERATION_S), self._loop).result()
        except EdgetuneError:
            raise
        except (TimeoutError, asyncio.TimeoutError):
            raise TransientError(f"cannot {what} {where}: no answer within {_OPERATION_S:g} s") from None
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.ConnectionLost) as error:
            raise TransientError(f"cannot {what} {where}: the connection was lost ({_line(error)})") from None
        except asyncssh.SFTPNoSuchFile:
            raise MissingError(f"{where} is not there") from None
        except asyncssh.SFTPPermissionDenied:
            raise EdgetuneError(f"cannot {what} {where}: no access") from None
        except asyncssh.ChannelOpenError as error:
            raise EdgetuneError(f"{self.url}: the server has no SFTP ({_line(error)})") from None
        except (asyncssh.Error, OSError) as error:
            if isinstance(error, ConnectionError) or self._connection is None or self._connection.is_closed():
                raise TransientError(f"cannot {what} {where}: {_line(error)}") from None
            raise EdgetuneError(f"cannot {what} {where}: {_line(error)}") from None


def _no_such_file() -> tuple[type[Exception], ...]:
    import asyncssh

    return (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory)


def _unsupported() -> type[Exception]:
    import asyncssh

    return asyncssh.SFTPOpUnsupported


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
