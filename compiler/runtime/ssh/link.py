"""What is done over an SSH connection: commands, scripts and files, with a time limit and one line where they fail."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from compiler.errors import EdgetuneError
from compiler.runtime.ssh.address import SshAddress
from compiler.runtime.ssh.connect import connect

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection, SSHClientProcess

T = TypeVar("T")

COMMAND_SECONDS = 60.0
_BEGINS = "edgetune-begins-here"
_CHUNK = 1 << 18
_CLOSE_SECONDS = 3.0


class Completed(NamedTuple):
    """A command that has ended: its exit status, and what it wrote."""

    status: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """Its complaint in one line."""
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        return lines[-1] if lines else f"status {self.status}"


class Link:
    """One SSH connection to a board."""

    def __init__(self, connection: SSHClientConnection, address: SshAddress) -> None:
        self.connection = connection
        self.address = address

    @classmethod
    async def open(cls, address: SshAddress, *, known_hosts: Path | None = None, config: Path | None = None) -> Link:
        """Connect (see `connect`)."""
        return cls(await connect(address, known_hosts=known_hosts, config=config), address)

    @property
    def lost(self) -> bool:
        """Whether the connection has ended."""
        return self.connection.is_closed()

    async def run(self, command: str, data: bytes = b"", seconds: float = COMMAND_SECONDS) -> Completed:
        """Run `command` in the user's shell, with `data` as its input. Raises EdgetuneError after `seconds`."""
        with self.telling():
            process = await self.start(command)
            try:
                output = _unheard(asyncio.gather(process.stdout.read(), process.stderr.read()))
                await _feed(process, (data,))
                stdout, stderr = await asyncio.wait_for(output, seconds)
                await asyncio.wait_for(process.wait_closed(), seconds)
            except (TimeoutError, asyncio.TimeoutError):
                raise EdgetuneError(
                    f"a command on {self.address} did not end within {seconds:g} s: {command[:60]}"
                ) from None
            finally:
                process.close()
            return Completed(self._status(process), _text(stdout), _text(stderr))

    async def script(self, text: str, *arguments: str, seconds: float = COMMAND_SECONDS) -> Completed:
        """Run a script of POSIX sh, whatever the user's own shell is, and whatever that says when it starts."""
        done = await self.run(f"sh -s -- {shlex.join(arguments)}", f"echo {_BEGINS}\n{text}".encode(), seconds)
        _, _, said = done.stdout.rpartition(f"{_BEGINS}\n")
        return done._replace(stdout=said)

    async def start(self, command: str) -> SSHClientProcess[bytes]:
        """Start `command` in the user's shell; its streams are bytes."""
        with self.telling():
            return await self.connection.create_process(command, encoding=None)

    async def write(self, path: str, chunks: Iterable[bytes], mode: int = 0o644) -> None:
        """Write the file `path` on the board. Raises EdgetuneError, in the board's own words, where it cannot be.

        By `cat`, which every board has; SFTP, which small ones lack, brings nothing but a second way.
        """
        with self.telling():
            quoted = shlex.quote(path)
            process = await self.start(f"cat > {quoted} && chmod {mode:o} {quoted}")
            try:
                complaint = _unheard(asyncio.ensure_future(process.stderr.read()))
                # A full disk ends `cat` early: then what it says matters, not that it no longer reads.
                with contextlib.suppress(BrokenPipeError):
                    await _feed(process, chunks)
                stderr = await complaint
                await process.wait_closed()
            finally:
                process.close()
            done = Completed(self._status(process), "", _text(stderr))
        if done.status != 0:
            raise EdgetuneError(f"cannot write {path} on {self.address}: {done.said}")

    async def close(self) -> None:
        """End the connection and all that was started over it."""
        self.connection.close()
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self.connection.wait_closed(), _CLOSE_SECONDS)
            return
        self.connection.abort()

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Turns what asyncssh raises within into one line."""
        import asyncssh

        try:
            yield
        except asyncssh.ChannelOpenError as error:
            if self.lost:
                raise EdgetuneError(f"the connection to {self.address} ended") from None
            raise EdgetuneError(f"{self.address} refuses: {' '.join(str(error).split())}") from None
        except (asyncssh.Error, OSError) as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise EdgetuneError(f"the connection to {self.address} ended: {why}") from None

    def _status(self, process: SSHClientProcess[bytes]) -> int:
        if process.exit_signal is not None:
            return 128
        if process.exit_status is None:
            raise EdgetuneError(f"the connection to {self.address} ended")
        return process.exit_status


def _unheard(future: asyncio.Future[T]) -> asyncio.Future[T]:
    """`future`, which fails without a word where nobody waits for it any more: asyncio would print a traceback."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


async def _feed(process: SSHClientProcess[bytes], chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        for begin in range(0, len(chunk), _CHUNK):
            process.stdin.write(chunk[begin : begin + _CHUNK])
            await process.stdin.drain()
    process.stdin.write_eof()


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
