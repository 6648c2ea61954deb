"""One connection to the tracker: TVM's handler, with all that a stranger may send or leave undone guarded."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from tvm.rpc.tracker import TCPEventHandler

from compiler.runtime.agent.listening import keep_alive
from compiler.runtime.rpc import wire
from compiler.runtime.tracker import messages

if TYPE_CHECKING:
    from compiler.runtime.tracker.handler import Tracker

GREETING_SECONDS = 5.0
_MAX_UNREAD = 8 << 20
"""Bytes of answers that a client may leave unread."""


class TrackerConnection(TCPEventHandler):
    """Speaks as TVM's `TCPEventHandler`; whatever is wrong closes this connection, and nothing else."""

    _info: dict[str, Any]
    put_values: list[Any]

    def __init__(self, tracker: Tracker, sock: socket.socket, address: tuple[Any, ...]) -> None:
        keep_alive(sock)  # and no waiting for the rest of an answer that TVM's handler sends in two parts
        super().__init__(tracker, sock, address)
        self.greeted = False
        self._greeting = self._ioloop.call_later(GREETING_SECONDS, self._be_greeted)

    def on_message(self, message: bytes) -> None:
        """Take the bytes that have come. TVM's fails where a greeting is in two parts, or has more behind it."""
        self._data += message
        while self._sock is not None:
            if not self.greeted:
                if len(self._data) < 4:
                    return
                if wire.unpack_int(bytes(self._data[:4])) != wire.TRACKER_MAGIC:
                    raise wire.WireError("it began with other bytes")
                del self._data[:4]
                self.greeted = True
                self._ioloop.remove_timeout(self._greeting)
                self.write_message(wire.pack_int(wire.TRACKER_MAGIC))
                continue
            if len(self._data) < 4:
                return
            size = wire.unpack_int(bytes(self._data[:4]))
            if not 0 < size <= messages.MAX_MESSAGE:
                raise wire.WireError(f"it announces {size} bytes")
            if len(self._data) < 4 + size:
                return
            text = bytes(self._data[4 : 4 + size])
            del self._data[: 4 + size]
            self.call_handler(messages.check(json.loads(text)))

    def call_handler(self, arguments: list[Any]) -> None:
        """What TVM's does, but that the newest information of a board stands in the place of what it said before."""
        if arguments[0] == messages.UPDATE_INFO:
            self._info = {}
        super().call_handler(arguments)

    def write_message(self, message: bytes, binary: bool = True) -> None:
        """Send `message`. Raises WireError where the client reads nothing."""
        super().write_message(message, binary)
        if sum(map(len, self._pending_write)) > _MAX_UNREAD:
            raise wire.WireError("it does not read its answers")

    def forget_taken(self) -> None:
        """Keep only the offers that nobody has taken: TVM's handler keeps all, as long as the board is connected."""
        self.put_values = [value for value in self.put_values if value[-1] in self.pending_matchkeys]

    def close(self) -> None:
        self._ioloop.remove_timeout(self._greeting)
        super().close()

    def turn_away(self, why: str) -> None:
        """Close the connection; the log says why."""
        if self._sock is not None:
            self._tracker.say(f"the connection of {self._addr[0]}:{self._addr[1]} was closed: {why}")
            self.close()

    def on_error(self, error: BaseException) -> None:
        self.turn_away(str(error))

    def _event_handler(self, events: int) -> None:
        try:
            super()._event_handler(events)
        except Exception as error:  # noqa: BLE001 - one client's failure must not end the tracker
            self.turn_away(str(error)[:200] or type(error).__name__)

    def _be_greeted(self) -> None:
        if not self.greeted:
            self.turn_away("it did not greet")
