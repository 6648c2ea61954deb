"""The listening socket and the connections in their handshake: each has its time, and none holds up another."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from compiler.runtime.agent.handshake import Handshake, Request
from compiler.runtime.agent.listening import keep_alive
from compiler.runtime.agent.log import Log
from compiler.runtime.agent.reactor import READABLE, WRITABLE, Reactor, Timer
from compiler.runtime.rpc import wire

HANDSHAKE_SECONDS = 5.0
MAX_CONNECTIONS = 64
"""That are in their handshake or wait for a session."""
_ACCEPTED_A_TURN = 64
_PAUSE_SECONDS = 0.1  # where the system has no descriptor left

Client = tuple[socket.socket, str]
"""A connection, and where it comes from."""


class Door:
    """Accepts connections and hands those that ask for a session to `session`; tells the others what `status` says.

    `waiting` says how many clients wait for a session: they count too.
    """

    def __init__(
        self,
        listener: socket.socket,
        reactor: Reactor,
        log: Log,
        session: Callable[[Client, Request], None],
        status: Callable[[], str],
        waiting: Callable[[], int],
    ) -> None:
        self._listener = listener
        self._reactor = reactor
        self._log = log
        self._session = session
        self._status = status
        self._waiting = waiting
        self._guests: dict[_Guest, None] = {}  # in the order of their arrival
        listener.setblocking(False)
        self._open()

    def close(self) -> None:
        self._reactor.forget(self._listener)
        self._listener.close()
        for guest in list(self._guests):
            guest.end()

    def _open(self) -> None:
        self._reactor.watch(self._listener, READABLE, self._accept)

    def _accept(self, _events: int) -> None:
        for _ in range(_ACCEPTED_A_TURN):
            try:
                sock, address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:  # no descriptor or no memory left: they come back when others end
                self._log.seldom("accept", f"cannot accept a connection: {error.strerror}")
                self._reactor.forget(self._listener)
                self._reactor.after(_PAUSE_SECONDS, self._open)
                return
            guest = _Guest(self, (sock, f"{address[0]}:{address[1]}"))
            self._guests[guest] = None
            guest.begin()
            while self._guests and len(self._guests) + self._waiting() > MAX_CONNECTIONS:
                next(iter(self._guests)).turn_away("there were too many")


class _Guest:
    """A connection until it is known what it wants, or until its status is sent."""

    def __init__(self, door: Door, client: Client) -> None:
        self._door = door
        self._sock, self._name = client
        self._handshake = Handshake()
        self._answer = b""
        self._timer: Timer | None = None

    def begin(self) -> None:
        try:
            self._sock.setblocking(False)
            keep_alive(self._sock)
        except OSError:  # it has gone already
            self.end()
            return
        self._timer = self._door._reactor.after(HANDSHAKE_SECONDS, lambda: self.turn_away("it took too long"))
        self._door._reactor.watch(self._sock, READABLE, self._read)
        self._read(READABLE)

    def end(self) -> None:
        self._leave()
        self._sock.close()

    def turn_away(self, why: str) -> None:
        self._door._log.seldom("turned away", f"a connection from {self._name} was closed: {why}")
        self.end()

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._door._reactor.forget(self._sock)
        self._door._guests.pop(self, None)

    def _read(self, _events: int) -> None:
        try:
            request = None
            while request is None:
                data = self._sock.recv(self._handshake.wanted)
                if not data:
                    raise wire.WireError("it ended early")
                request = self._handshake.take(data)
        except (BlockingIOError, InterruptedError):
            return
        except wire.WireError as error:
            self.turn_away(str(error))
            return
        except OSError:
            self.end()
            return
        if request.session_key is not None:
            self._leave()
            self._door._session((self._sock, self._name), request)
            return
        self._answer = wire.pack_int(wire.MAGIC) + wire.pack_text(self._door._status())
        self._door._reactor.watch(self._sock, WRITABLE, self._write)
        self._write(WRITABLE)

    def _write(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            try:
                self._answer = self._answer[self._sock.send(self._answer) :]
            except (BrokenPipeError, ConnectionError):
                self._answer = b""
            if not self._answer:
                self.end()
