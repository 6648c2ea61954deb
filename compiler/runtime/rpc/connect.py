"""Opening a session on a board: through its agent or through a tracker, with deadlines at every step."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compiler.errors import EdgetuneError
from compiler.runtime.rpc import tracker, wire
from compiler.runtime.rpc.address import Address, Way
from compiler.runtime.rpc.dial import CONNECT_SECONDS, ask_status, dial
from compiler.runtime.rpc.identity import Identity, decode_identity
from compiler.runtime.rpc.relay import Relay

if TYPE_CHECKING:
    from tvm.rpc import RPCSession

PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 1.0
_END_SECONDS = 5.0  # for who relays the session to see that it has ended, where nothing answers any more
_ALWAYS_THERE = "tvm.rpc.server.workpath"
"""A function of every server of TVM's."""

Waiting = Callable[[str], None]
"""Told every second what is being waited for."""


class Connection:
    """A session on a board. `remote` is TVM's RPC session; `address` the agent's.

    Its calls raise what TVM raises; `lost` tells whether that was because the connection ended.
    """

    def __init__(self, relay: Relay, address: Address) -> None:
        from tvm import rpc

        self.address = address
        self._relay = relay
        try:
            self.remote: RPCSession = rpc.connect("127.0.0.1", relay.port, relay.key)
        except Exception as error:
            relay.close()
            raise EdgetuneError(f"the agent at {address} ended the session at once: {_line(error)}") from error
        self._functions: dict[str, Any] = {}
        self._identity: Identity | None = None

    @property
    def lost(self) -> bool:
        """Whether the connection has ended: the session crashed, reached its limit, or the board is gone."""
        return self._relay.closed

    @property
    def identity(self) -> Identity:
        """What the board is. Raises EdgetuneError for a server that is no edgetune agent."""
        if self._identity is None:
            self._identity = decode_identity(self.call("edgetune.identity"))
        return self._identity

    def just_lost(self) -> bool:
        """Whether a call that failed just now failed because the connection ended."""
        if self._relay.closed:
            return True
        # Asked, not waited for: what fails on a board that is there must not take longer than what works.
        return not self._answers() and self._relay.ends_within(_END_SECONDS)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call the agent's function `name`. Raises EdgetuneError where it fails, or is not there."""
        try:
            if name not in self._functions:
                self._functions[name] = self.remote.get_function(name)
            return self._functions[name](*arguments)
        except Exception as error:
            if self.just_lost():
                raise EdgetuneError(f"the session on the board {self.address} ended: {_line(error)}") from error
            raise EdgetuneError(f"{name} failed on the board {self.address}: {_line(error)}") from error

    def has(self, name: str) -> bool:
        """Whether the agent has a function `name`."""
        try:
            self._functions[name] = self.remote.get_function(name)
        except Exception:  # noqa: BLE001 - whatever TVM throws, it is not there
            return False
        return True

    def send_file(self, path: Path, offset: int, size: int, name: str) -> int:
        """Append `size` bytes of the file `path`, from `offset` on, to the file `name` of the session; its size then.

        They go past TVM, whose RPC takes bytes one by one: at 40 MB/s at best. Raises EdgetuneError as `call` does.
        """
        mark = self._relay.send_file(path, offset, size)
        return int(self.call("edgetune.receive", name, size, mark))

    def _answers(self) -> bool:
        try:
            self.remote.get_function(_ALWAYS_THERE)
        except Exception:  # noqa: BLE001 - whatever TVM throws, there is no answer
            return False
        return True

    def close(self) -> None:
        """End the session; the agent is free for the next one."""
        self._functions.clear()
        self._relay.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def connect(
    way: Way,
    *,
    limit_seconds: float | None = None,
    patience: float = PATIENCE_SECONDS,
    waiting: Waiting | None = None,
) -> Connection:
    """A session on the board that `way` leads to, of at most `limit_seconds` (default: the agent's own limit).

    Waits up to `patience` seconds for a board to be free. Raises EdgetuneError, in one line, when there is none.
    """
    deadline = time.monotonic() + patience
    if way.key is None:
        return _open(way.address, "", limit_seconds, patience, waiting)
    while True:
        grant, asked = tracker.request(way.address, way.key, max(0.0, deadline - time.monotonic()), waiting)
        with asked:
            try:
                return _open(grant.address, grant.match_key, limit_seconds, CONNECT_SECONDS, waiting)
            except EdgetuneError:
                # A board that died or restarted after it had registered: the tracker will hear of it, and has others.
                if time.monotonic() + _POLL_SECONDS > deadline:
                    raise
        time.sleep(_POLL_SECONDS / 4)


def _open(address: Address, key: str, limit: float | None, patience: float, waiting: Waiting | None) -> Connection:
    sock = dial(address, min(CONNECT_SECONDS, max(1.0, patience)))
    try:
        words = f"{wire.SESSION}{key}" + (f" -timeout={limit:g}" if limit is not None else "")
        sock.sendall(wire.pack_int(wire.MAGIC) + wire.pack_text(words))
        _await_answer(sock, address, patience, waiting)
        sock.settimeout(CONNECT_SECONDS)
        answer = wire.receive_int(sock)
        if answer == wire.MISMATCH:
            raise EdgetuneError(
                f"the agent at {address} takes no such session: with --key give its tracker's address to --rpc, "
                "without it the agent's own"
            )
        if answer != wire.MAGIC:
            raise EdgetuneError(f"what listens at {address} is no agent")
        server_key = wire.receive_text(sock, wire.MAX_KEY)
        sock.settimeout(None)
        return Connection(Relay(sock, server_key), address)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise EdgetuneError(f"the agent at {address} ended the connection: {error}") from None
        raise


def _await_answer(sock: socket.socket, address: Address, patience: float, waiting: Waiting | None) -> None:
    """Return when the agent has begun to answer. Raises EdgetuneError, saying who is there, when patience ends."""
    deadline = time.monotonic() + patience
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise EdgetuneError(f"{_busy(address)}; after {patience:g} s it was not free")
        sock.settimeout(min(_POLL_SECONDS, left))
        with contextlib.suppress(TimeoutError):
            if not sock.recv(1, socket.MSG_PEEK):
                raise wire.WireError("it was closed")
            return
        if waiting is not None:
            waiting(_busy(address))


def _busy(address: Address) -> str:
    try:
        status = ask_status(address, 2.0)
    except EdgetuneError:
        return f"the agent at {address} does not answer"
    if status.get("state") != "busy":
        return f"the agent at {address} is about to answer"
    took = status.get("session_seconds")
    since = f" for {took:.0f} s" if isinstance(took, int | float) else ""
    return f"the agent at {address} has been at work for {status.get('client') or 'another client'}{since}"


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
