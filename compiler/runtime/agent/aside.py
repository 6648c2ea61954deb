"""A question that may take long, or hang, or crash: asked in a process of its own, while the agent goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from typing import Any

from compiler.runtime.agent import processes
from compiler.runtime.agent.reactor import READABLE, Reactor

_MAX_ANSWER = 1 << 16


class Aside:
    """Runs `question` in a forked process, and calls `answered` with what it returned (JSON), or with None.

    None is what comes of an exception, a crash, and of `seconds` without an answer.
    """

    def __init__(
        self, reactor: Reactor, question: Callable[[], Any], answered: Callable[[Any], None], seconds: float
    ) -> None:
        self._reactor = reactor
        self._answered = answered
        self._data = b""
        self._end, ours = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _ask(question, ours, parent)
        os.close(ours)
        os.set_blocking(self._end, False)
        self._timer = reactor.after(seconds, self._finish)
        reactor.watch(self._end, READABLE, self._read)

    def _read(self, _events: int) -> None:
        try:
            data = os.read(self._end, _MAX_ANSWER)
        except (BlockingIOError, InterruptedError):
            return
        self._data += data
        if not data or len(self._data) > _MAX_ANSWER:
            self._finish()

    def _finish(self) -> None:
        self._timer.cancel()
        self._reactor.forget(self._end)
        os.close(self._end)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        try:
            answer = json.loads(self._data)
        except (ValueError, RecursionError):
            answer = None
        self._answered(answer)


def _ask(question: Callable[[], Any], answer: int, parent: int) -> None:
    """In the forked process: write the answer, and end without touching what is the agent's."""
    with contextlib.suppress(BaseException):  # whatever it is, the answer is none
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        processes.end_with(parent)
        processes.close_descriptors([answer])
        devnull = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(devnull, standard)
        os.write(answer, json.dumps(question()).encode()[:_MAX_ANSWER])
    os._exit(0)
