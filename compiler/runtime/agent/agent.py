"""The agent itself: it lets clients in, gives the board to one after another, and tells what it is and does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from typing import Any

from compiler.runtime.agent import processes
from compiler.runtime.agent.aside import Aside
from compiler.runtime.agent.door import Client, Door
from compiler.runtime.agent.handshake import Request
from compiler.runtime.agent.identity import find_gpu, has_gpu_device, identity, in_brief
from compiler.runtime.agent.listening import listen, shown
from compiler.runtime.agent.log import Log
from compiler.runtime.agent.options import AgentOptions
from compiler.runtime.agent.queue import Queue
from compiler.runtime.agent.reactor import GONE, READABLE, Reactor, Timer
from compiler.runtime.agent.registration import Registration
from compiler.runtime.agent.sessions import Sessions
from compiler.runtime.rpc import wire
from compiler.runtime.sensors.reading import Sensors

_SEEN_BY_TRACKER = ("0.0.0.0", "::", "127.0.0.1", "::1")  # noqa: S104 - compared with, not bound to
_GPU_SECONDS = 30.0
_FRESH_SECONDS = 0.5
"""A status is made anew after so long: a client that asks without end must not keep the sensors busy."""


class Agent:
    """Serves until it is told to end. It listens as soon as it is made: `address` says where."""

    def __init__(self, options: AgentOptions, log: Log | None = None) -> None:
        """Raises EdgetuneError where the address cannot be listened at."""
        self._options = options
        self._log = log or Log()
        self._listener = listen(options.host, options.port)
        self.address = shown(self._listener)
        self._began = time.monotonic()
        self._reactor = Reactor(self._failed)
        self._sensors = Sensors()
        self._said: tuple[float, dict[str, Any]] | None = None
        self._queue = Queue(self._reactor)
        self._sessions = Sessions(
            self._reactor, self._log, options.key, options.memory_limit, self._changed, self._returned
        )
        self._registration: Registration | None = None
        self._silence: Timer | None = None

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until SIGTERM, SIGINT or, if it was asked for, the end of standard input. Only from the main thread.

        Calls `ready` when sessions can begin. Raises EdgetuneError where TVM's runtime does not load.
        """
        processes.adopt_orphans()
        woken = self._catch_signals()
        try:
            self._sessions.start_template()
            if has_gpu_device():
                Aside(self._reactor, find_gpu, self._found_gpu, _GPU_SECONDS)
            door = Door(
                self._listener,
                self._reactor,
                self._log,
                self._asked_for_session,
                lambda: json.dumps(self.status()),
                self._queue.__len__,
            )
            if self._options.until_eof:
                self._watch_input()
            self._reactor.run(until=lambda: self._sessions.ready)
            if self._sessions.ready and self._reactor.running:
                ready()
                self._heard()
                if self._options.tracker is not None:
                    self._register(self._options.tracker)
                self._reactor.run()
            door.close()
        finally:
            self._queue.close()
            if self._registration is not None:
                self._registration.close()
            self._sessions.close()
            self._release_signals(woken)
            self._listener.close()

    def status(self) -> dict[str, Any]:
        """What the agent is and does (*status* in docs/agent-protocol.md)."""
        current = self._sessions.current
        return {
            "schema": 1,
            "key": self._options.key,
            "state": "free" if self._sessions.free and not self._queue else "busy",
            "client": current[0] if current is not None else None,
            "session_seconds": round(current[1], 3) if current is not None else None,
            "uptime_s": round(time.monotonic() - self._began, 3),
            "sessions": self._sessions.count,
            "failed_sessions": self._sessions.failed,
            "last_failure": self._sessions.last_failure,
            **self._facts(),
        }

    def _brief_status(self) -> dict[str, Any]:
        status = self.status()
        return {**status, "identity": in_brief(status["identity"])}

    def _facts(self) -> dict[str, Any]:
        now = time.monotonic()
        if self._said is None or now - self._said[0] > _FRESH_SECONDS:
            facts = {"identity": identity(self._sessions.gpu), "sensors": self._sensors.read(wait=False)}
            self._said = now, facts
        return self._said[1]

    def _asked_for_session(self, client: Client, request: Request) -> None:
        key = request.session_key or ""
        if self._options.tracker is not None:
            admitted = self._registration is not None and self._registration.admits(key)
        else:
            admitted = key in ("", self._options.key)
        if not admitted:
            self._log.seldom("mismatch", f"a session was refused to {client[1]}: it came with another key")
            with contextlib.suppress(OSError):
                client[0].send(wire.pack_int(wire.MISMATCH))
            client[0].close()
            return
        limit = self._options.session_limit
        self._queue.add(client, limit if request.limit is None else min(limit, request.limit))
        self._changed()

    def _changed(self) -> None:
        """A client has come, a session has begun or ended, or the template has become ready."""
        if self._sessions.free and self._queue:
            client, limit = self._queue.take()
            self._log(f"session {self._sessions.count + 1} of {client[1]} begins")
            self._sessions.begin(client, limit)
        elif self._registration is not None:
            self._registration.changed()

    def _returned(self, client: Client, limit: float) -> None:
        self._queue.add(client, limit, first=True)

    def _register(self, tracker: Any) -> None:
        # The tracker sees where the connection comes from; it cannot see an address that was chosen among several.
        host = self._listener.getsockname()[0]
        self._registration = Registration(
            self._reactor,
            self._log,
            tracker,
            self._options.key,
            int(self._listener.getsockname()[1]),
            None if host in _SEEN_BY_TRACKER else host,
            self._brief_status,
            lambda: self._sessions.free and not self._queue,
        )

    def _found_gpu(self, found: Any) -> None:
        self._sessions.gpu = found if isinstance(found, dict) else None
        self._said = None

    def _failed(self, error: BaseException) -> None:
        self._log.seldom("bug", f"unexpected {type(error).__name__}: {error} (this is a bug of edgetune)")

    def _watch_input(self) -> None:
        """End when standard input ends. A file has ended already; poll does not wait for one."""
        if stat.S_ISREG(os.fstat(0).st_mode):
            self._reactor.stop()
            return
        os.set_blocking(0, False)
        self._reactor.watch(0, READABLE | GONE, self._input)

    def _input(self, _events: int) -> None:
        try:
            ended = not os.read(0, 4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            ended = True
        if ended:
            self._reactor.forget(0)
            self._end("standard input has ended")
        else:
            self._heard()

    def _heard(self) -> None:
        """Standard input lives: a network that died in silence leaves it open, and nothing comes any more."""
        limit = self._options.heartbeat
        if limit is None:
            return
        if self._silence is not None:
            self._silence.cancel()
        self._silence = self._reactor.after(limit, lambda: self._end(f"standard input was silent for {limit:g} s"))

    def _end(self, why: str) -> None:
        self._log(f"{why}: so the agent ends")
        self._reactor.stop()

    def _catch_signals(self) -> tuple[int, int]:
        ends = os.pipe()
        for end in ends:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(ends[1], warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._reactor.watch(ends[0], READABLE, lambda _events: None)  # the handler has said it
        return ends

    def _release_signals(self, ends: tuple[int, int]) -> None:
        signal.set_wakeup_fd(-1)
        self._reactor.forget(ends[0])
        for end in ends:
            os.close(end)

    def _signalled(self, number: int, _frame: object) -> None:
        self._log(f"{signal.Signals(number).name}: the agent ends")
        self._reactor.stop()


def serve(options: AgentOptions, ready: Callable[[str], None]) -> None:
    """Run an agent in this process until it is told to end; `ready` is called with where it listens.

    Raises EdgetuneError where it cannot listen, or TVM's runtime does not load.
    """
    agent = Agent(options)
    agent.run(lambda: ready(agent.address))
    sys.stdout.flush()
