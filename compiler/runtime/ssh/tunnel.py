"""An agent on a board that is reached by SSH, as if it were at a port of this machine.

The connection lives in a process of its own (`tunnel_process.py`): TVM holds Python's lock while it waits for a board,
so that a thread could not carry the answer; and where this process is killed, that one still ends the agent.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from compiler.errors import EdgetuneError, UsageError
from compiler.runtime.rpc.address import Address
from compiler.runtime.ssh.address import SshAddress, parse
from compiler.runtime.ssh.agent import SILENT_SECONDS
from compiler.runtime.ssh.source import AgentSource, BundledAgents, Progress

_END_SECONDS = 8.0


class AgentTunnel:
    """The agent of the board at `board`; `address` is where it is reached, for as long as this is open.

    Use it in a `with` statement, which gives `address`, or `close` it. `kind` is `native` or `python`.
    """

    def __init__(
        self,
        board: str | SshAddress,
        *,
        known_hosts: Path | None = None,
        config: Path | None = None,
        progress: Progress | None = None,
        source: AgentSource | None = None,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """See `open_agent`."""
        self.board = parse(board) if isinstance(board, str) else board
        if self.board.path is not None:
            raise UsageError(f"{board}: name the board only, without a folder")
        package_root = str(Path(__file__).resolve().parents[3])
        path = os.pathsep.join(p for p in (package_root, os.environ.get("PYTHONPATH", "")) if p)
        self._said: str | None = None
        self._closed = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "compiler.runtime.ssh.tunnel_process"],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is this process's to handle
        )
        try:
            self._tell(
                address=str(self.board),
                known_hosts=str(known_hosts) if known_hosts else None,
                config=str(config) if config else None,
                tvm=version("apache-tvm"),
                live=bool(getattr(progress, "live", False)),
                silent_seconds=silent_seconds,
            )
            ready = self._await_ready(source or BundledAgents(), progress)
        except BaseException:
            self.close()
            raise
        self.address = Address(ready["host"], ready["port"])
        self.kind = str(ready["kind"])

    @property
    def lost(self) -> str | None:
        """One line that says why the agent is out of reach, or None while it is not."""
        if self._said is None and self._process.poll() is not None and not self._closed:
            self._said = f"the connection to {self.board} was lost"
            for message in self._messages():
                self._said = str(message.get("error", self._said))
        return self._said

    def close(self) -> None:
        """End the agent and the connection."""
        self._closed = True
        for stream in (self._process.stdin,):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(_END_SECONDS)
        except BaseException as error:
            self._process.kill()
            self._process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()

    def __enter__(self) -> Address:
        return self.address

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _await_ready(self, source: AgentSource, progress: Progress | None) -> dict[str, Any]:
        for message in self._messages():
            if "ready" in message:
                return dict(message["ready"])
            if "error" in message:
                raise (UsageError if message.get("exit_code") == UsageError.exit_code else EdgetuneError)(
                    message["error"]
                )
            if "ask" in message:
                self._answer(source, message["ask"], message["machine"], progress)
            elif progress is not None:
                progress(str(message["progress"]))
        raise EdgetuneError(f"the connection to {self.board} ended: its process ended with {self._process.wait()}")

    def _answer(self, source: AgentSource, what: str, machine: str, progress: Progress | None) -> None:
        try:
            value = source.identity(machine) if what == "identity" else str(source.folder(machine, progress))
        except EdgetuneError as error:
            self._tell(error=str(error))
        else:
            self._tell(value=value)

    def _tell(self, **message: Any) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it has ended, and its last message says why
                self._process.stdin.write(json.dumps(message) + "\n")
                self._process.stdin.flush()

    def _messages(self) -> Iterator[dict[str, Any]]:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                yield json.loads(line)


def open_agent(
    board: str | SshAddress,
    *,
    known_hosts: Path | None = None,
    config: Path | None = None,
    progress: Progress | None = None,
    source: AgentSource | None = None,
    silent_seconds: float = SILENT_SECONDS,
) -> AgentTunnel:
    """Start the agent of `board` (`user@board`, `user@board:2222`, an alias) and bring it to a port of this machine.

    The agent is the one that edgetune put there before, else `edgetune serve` of this version if the board has it, else
    the native agent is built (`source`) and put into the board's ~/.cache/edgetune. It listens on the board's loopback
    alone and ends with the tunnel, also when this process is killed; where the network dies in silence, it ends after
    `silent_seconds`.

    known_hosts, config: instead of the user's files in ~/.ssh. Raises EdgetuneError, in one line, where a step fails,
    and UsageError for what is no address.
    """
    return AgentTunnel(
        board, known_hosts=known_hosts, config=config, progress=progress, source=source, silent_seconds=silent_seconds
    )
