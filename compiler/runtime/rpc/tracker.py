"""Asking TVM's tracker which boards it knows, and for one of them; python/tvm/rpc/tracker.py says what it speaks."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from compiler.errors import EdgetuneError
from compiler.runtime.rpc import wire
from compiler.runtime.rpc.address import Address
from compiler.runtime.rpc.dial import CONNECT_SECONDS, dial

# TrackerCode in python/tvm/rpc/base.py.
_SUCCESS = 0
_REQUEST = 4
_SUMMARY = 6
_ANSWER_SECONDS = 10.0
_POLL_SECONDS = 1.0


class Grant(NamedTuple):
    """A board that the tracker gave: its agent's address, and the match key which that agent expects once."""

    address: Address
    match_key: str


class KnownBoard(NamedTuple):
    """A board as the tracker knows it; `status` is what its agent said when it registered, None for a stock server."""

    key: str
    address: Address
    status: dict[str, Any] | None


def boards(tracker: Address) -> list[KnownBoard]:
    """All boards that the tracker knows, sorted. Raises EdgetuneError where no tracker answers."""
    with _asking(tracker) as sock:
        return _boards(_summary(sock))


def request(
    tracker: Address, key: str, patience: float, waiting: Callable[[str], None] | None = None
) -> tuple[Grant, socket.socket]:
    """A board of `key`, and the connection to the tracker, to be closed when the board was reached.

    Waits up to `patience` seconds for one to be free and tells `waiting` every second what for. Raises EdgetuneError
    where the tracker knows no board of that key, or none became free.
    """
    with _asking(tracker, keep=True) as sock:
        known = [board.key for board in _boards(_summary(sock))]
        if key not in known:
            others = ", ".join(sorted(set(known)))
            have = f"it has boards of {others}" if others else "no board has registered with it"
            raise EdgetuneError(f"the tracker {tracker} knows no board of {key}: {have}")
        wire.send_json(sock, [_REQUEST, key, "edgetune", 1])
        deadline = time.monotonic() + patience
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise EdgetuneError(f"no board of {key} became free within {patience:g} s: {known.count(key)} at work")
            sock.settimeout(min(_POLL_SECONDS, left))
            try:
                first = sock.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                if waiting is not None:
                    waiting(f"all boards of {key} are at work")
                continue
            if not first:
                raise wire.WireError("the connection was closed")
            sock.settimeout(_ANSWER_SECONDS)
            return _grant(wire.receive_json(sock)), sock


def _grant(answer: Any) -> Grant:
    try:
        code, (host, port, match_key) = answer
        if code == _SUCCESS and isinstance(host, str) and isinstance(port, int) and isinstance(match_key, str):
            return Grant(Address(host, port), match_key)
    except (TypeError, ValueError):
        pass
    raise wire.WireError("the answer is none")


@contextmanager
def _asking(tracker: Address, keep: bool = False) -> Iterator[socket.socket]:
    """A connection to the tracker, after the greetings; what goes wrong within becomes one line."""
    sock = dial(tracker, CONNECT_SECONDS)
    try:
        sock.settimeout(_ANSWER_SECONDS)
        sock.sendall(wire.pack_int(wire.TRACKER_MAGIC))
        if wire.receive_int(sock) != wire.TRACKER_MAGIC:
            raise wire.WireError("its greeting is another's")
        yield sock
    except BaseException as error:
        sock.close()
        if isinstance(error, TimeoutError):
            raise EdgetuneError(f"the tracker {tracker} does not answer") from None
        if isinstance(error, OSError):
            raise EdgetuneError(f"what listens at {tracker} is no tracker, or it ended: {error}") from None
        raise
    if not keep:
        sock.close()


def _summary(sock: socket.socket) -> dict[str, Any]:
    wire.send_json(sock, [_SUMMARY])
    answer = wire.receive_json(sock)
    if not (isinstance(answer, list) and len(answer) == 2 and answer[0] == _SUCCESS and isinstance(answer[1], dict)):
        raise wire.WireError("it gives no summary")
    return dict(answer[1])


def _boards(summary: dict[str, Any]) -> list[KnownBoard]:
    found = []
    for info in summary.get("server_info", []):
        try:
            key = str(info["key"]).removeprefix(wire.SERVER)
            host, port = info["addr"]
            status = info.get("edgetune")
            found.append(KnownBoard(key, Address(str(host), int(port)), status if isinstance(status, dict) else None))
        except (KeyError, TypeError, ValueError, AttributeError):
            continue  # whatever registered there, it is no board that can be reached
    return sorted(found, key=lambda board: (board.key, board.address))
