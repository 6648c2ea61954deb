"""Keeping the agent known to a tracker, as TVM's own server does (python/tvm/rpc/server.py), without ever blocking.

The tracker gives a client the *match key* that the agent has put there; with it the client comes to the agent.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from compiler.runtime.agent.aside import Aside
from compiler.runtime.agent.listening import keep_alive
from compiler.runtime.agent.log import Log
from compiler.runtime.agent.reactor import GONE, READABLE, WRITABLE, Reactor, Timer
from compiler.runtime.rpc import wire
from compiler.runtime.rpc.address import Address

# TrackerCode in python/tvm/rpc/base.py.
_SUCCESS = 0
_PUT = 3
_UPDATE_INFO = 5
_GET_PENDING_MATCHKEYS = 7

LOOK_SECONDS = 2.0
"""Between two questions whether the match key is still there."""
TAKEN_SECONDS = 6.0
"""After so long a match key that was taken, and with which nobody came, is replaced."""
_RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 10.0)
_ANSWER_SECONDS = 10.0

Answered = Callable[[Any], None]


class Registration:
    """Registers `key` at the `tracker` and offers the agent whenever `free` says so.

    `port` is the agent's, `host` its address where the tracker does not see it (None: it does), `status` what it says
    of itself.
    """

    def __init__(
        self,
        reactor: Reactor,
        log: Log,
        tracker: Address,
        key: str,
        port: int,
        host: str | None,
        status: Callable[[], dict[str, Any]],
        free: Callable[[], bool],
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._tracker = tracker
        self._key = key
        self._port = port
        self._host = host
        self._status = status
        self._free = free
        self._match_key: str | None = None
        self._put = False
        """Whether the match key was put at this tracker, since it is connected."""
        self._sock: socket.socket | None = None
        self._greeted = False
        self._incoming = b""
        self._outgoing = b""
        self._answers: deque[Answered] = deque()
        self._deadline: Timer | None = None
        self._look: Timer | None = None
        self._taken = 0.0
        self._retries = 0
        self._find()

    def admits(self, key: str) -> bool:
        """Whether `key` is the match key that is out; it is good for one session, which begins now."""
        if self._match_key is None or not secrets.compare_digest(key.encode(), self._match_key.encode()):
            return False
        self._match_key, self._put = None, False
        return True

    def changed(self) -> None:
        """Tell the tracker: the agent has become free, or busy."""
        if self._greeted:
            self._inform()
            self._offer()

    def close(self) -> None:
        self._disconnect()

    # Finding the tracker.

    def _find(self) -> None:
        host, port = self._tracker
        # A name is looked up in a process of its own: that can take long, and there is no other way not to wait.
        Aside(self._reactor, lambda: _look_up(host, port), self._found, _ANSWER_SECONDS)

    def _found(self, answer: Any) -> None:
        if answer is None:
            self._lost(f"there is no host called {self._tracker.host}")
            return
        family, address = answer
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        self._sock = sock
        self._deadline = self._reactor.after(_ANSWER_SECONDS, lambda: self._lost("it does not answer"))
        error = sock.connect_ex(tuple(address))
        if error not in (0, errno.EINPROGRESS):
            self._lost(os.strerror(error))
            return
        self._reactor.watch(sock, WRITABLE, self._connected)

    def _connected(self, _events: int) -> None:
        if self._sock is None:
            return
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._lost(os.strerror(error))
            return
        keep_alive(self._sock)
        self._incoming, self._greeted = b"", False
        self._outgoing = wire.pack_int(wire.TRACKER_MAGIC)
        self._watch()

    def _lost(self, why: str) -> None:
        self._disconnect()
        wait = _RETRY_SECONDS[min(self._retries, len(_RETRY_SECONDS) - 1)]
        self._retries += 1
        self._log.seldom("tracker", f"the tracker {self._tracker} is not there: {why}; trying again", 60.0)
        self._reactor.after(wait, self._find)

    def _disconnect(self) -> None:
        for timer in (self._deadline, self._look):
            if timer is not None:
                timer.cancel()
        self._deadline = self._look = None
        if self._sock is not None:
            self._reactor.forget(self._sock)
            self._sock.close()
            self._sock = None
        self._greeted = self._put = False
        self._answers.clear()

    # Talking to it.

    def _watch(self) -> None:
        if self._sock is not None:
            self._reactor.watch(self._sock, READABLE | GONE | (WRITABLE if self._outgoing else 0), self._talk)

    def _talk(self, events: int) -> None:
        if self._sock is None:
            return
        try:
            if events & WRITABLE and self._outgoing:
                with contextlib.suppress(BlockingIOError, InterruptedError):
                    self._outgoing = self._outgoing[self._sock.send(self._outgoing) :]
                    self._watch()
            if events & (READABLE | GONE):
                with contextlib.suppress(BlockingIOError, InterruptedError):
                    data = self._sock.recv(1 << 16)
                    if not data:
                        raise wire.WireError("it has closed the connection")
                    self._incoming += data
                    self._listen()
        except (OSError, ValueError, RecursionError) as error:
            self._lost(str(error))

    def _listen(self) -> None:
        """Take what has come, message by message. Raises WireError and ValueError for what is none."""
        while len(self._incoming) >= 4:
            if not self._greeted:
                if wire.unpack_int(self._incoming[:4]) != wire.TRACKER_MAGIC:
                    raise wire.WireError("what answers there is no tracker")
                self._incoming = self._incoming[4:]
                self._register()
                continue
            size = wire.unpack_int(self._incoming[:4])
            if not 0 <= size <= wire.MAX_JSON:
                raise wire.WireError(f"it announces {size} bytes")
            if len(self._incoming) < 4 + size:
                return
            message, self._incoming = self._incoming[4 : 4 + size], self._incoming[4 + size :]
            if not self._answers:
                raise wire.WireError("it answers what was not asked")
            answered = self._answers.popleft()
            if not self._answers and self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
            answered(json.loads(message))

    def _ask(self, question: list[Any], answered: Answered) -> None:
        self._outgoing += wire.pack_text(json.dumps(question))
        self._answers.append(answered)
        if self._deadline is None:
            self._deadline = self._reactor.after(_ANSWER_SECONDS, lambda: self._lost("it does not answer"))
        self._watch()

    # What is said.

    def _register(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._greeted, self._retries = True, 0
        self._log(f"registered with the tracker {self._tracker} as {self._key}")
        self._inform()
        self._offer()

    def _inform(self) -> None:
        info = {"key": f"{wire.SERVER}{self._key}", "addr": [self._host, self._port], "edgetune": self._status()}
        self._ask([_UPDATE_INFO, info], _must_succeed)

    def _offer(self) -> None:
        """Put a match key, if the agent is free and has none out."""
        if not self._greeted or self._put or not self._free():
            return
        self._match_key, self._put, self._taken = f"{self._key}:{secrets.token_hex(16)}", True, 0.0
        self._ask([_PUT, self._key, [self._port, self._match_key], self._host], _must_succeed)
        if self._look is None:
            self._look = self._reactor.after(LOOK_SECONDS, self._ask_pending)

    def _ask_pending(self) -> None:
        self._look = None
        if self._put:
            match_key = self._match_key
            self._ask([_GET_PENDING_MATCHKEYS], lambda pending: self._is_pending(match_key, pending))

    def _is_pending(self, match_key: str | None, pending: Any) -> None:
        if not isinstance(pending, list):
            raise wire.WireError("it does not say which keys are there")
        if self._put and match_key == self._match_key:
            self._taken = 0.0 if match_key in pending else self._taken + LOOK_SECONDS
            if self._taken > TAKEN_SECONDS:
                self._log("the tracker gave the board away, and nobody came: it is offered again")
                self._put = False
                self._offer()
        if self._put and self._look is None:
            self._look = self._reactor.after(LOOK_SECONDS, self._ask_pending)


def _look_up(host: str, port: int) -> Any:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return [int(family), list(address)]


def _must_succeed(answer: Any) -> None:
    if answer != _SUCCESS:
        raise wire.WireError(f"it refuses the board: {str(answer)[:100]}")
