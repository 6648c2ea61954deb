"""The tracker: who is connected, and the queue of each key."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tvm.rpc.tracker import TrackerServerHandler

from compiler.runtime.tracker.connection import TrackerConnection
from compiler.runtime.tracker.scheduler import Scheduler

MAX_STRANGERS = 256
"""Connections that have not greeted; beyond that the oldest is closed."""
_ACCEPTED_A_TURN = 64
_PAUSE_SECONDS = 0.1  # where the system has no descriptor left


class Tracker(TrackerServerHandler):
    """TVM's tracker, which whatever comes does not stop. `say` gets the lines of its log."""

    def __init__(self, sock: socket.socket, stop_key: str, say: Callable[[str], None]) -> None:
        self.say = say
        self._strangers: dict[TrackerConnection, None] = {}  # in the order of their arrival
        super().__init__(sock, stop_key)

    def create_scheduler(self, key: str) -> Scheduler:
        return Scheduler(key)

    def close(self, connection: TrackerConnection) -> None:
        """Forget a connection that has closed, and what it has offered: also of a board that never said who it is."""
        self._connections.discard(connection)
        self._strangers.pop(connection, None)
        offered, connection.put_values = connection.put_values, []
        for value in offered:
            scheduler = self._scheduler_map.get(value[-1].rpartition(":")[0])
            if scheduler is not None:
                scheduler.remove(value)

    def close_all(self) -> None:
        """End all connections, and listen no more."""
        self._ioloop.remove_handler(self._sock.fileno())
        self._sock.close()
        for connection in list(self._connections):
            connection.close()

    def stop(self) -> None:
        """TVM's way to stop a tracker by a message; here a signal does it."""

    def _on_event(self, _events: int) -> None:
        # TVM's never comes back from here once the system has no descriptor left.
        for _ in range(_ACCEPTED_A_TURN):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self.say(f"cannot accept a connection: {error.strerror}")
                self._pause()
                return
            self._strangers = {one: None for one in self._strangers if not one.greeted}
            try:
                self._strangers[TrackerConnection(self, sock, address)] = None
            except OSError:  # it has gone already
                sock.close()
            if len(self._strangers) > MAX_STRANGERS:
                next(iter(self._strangers)).turn_away("there were too many")

    def _pause(self) -> None:
        descriptor = self._sock.fileno()
        self._ioloop.remove_handler(descriptor)
        self._ioloop.call_later(
            _PAUSE_SECONDS,
            lambda: self._ioloop.add_handler(descriptor, lambda _, events: self._on_event(events), self._ioloop.READ),
        )
