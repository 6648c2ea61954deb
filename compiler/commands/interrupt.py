"""Ctrl-C while TVM is at work.

Python raises KeyboardInterrupt wherever it happens to be. Inside a callback that TVM's C++ made, TVM turns it into an
error without a word, and while it searches that may end the whole process. So Ctrl-C leaves a note; during a search it
does nothing else, and whoever is at a safe point asks for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from compiler.commands import early


class Interrupts:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.pending = False
        self._deferring = False

    @property
    def deferring(self) -> bool:
        """Whether Ctrl-C waits for `check`."""
        return self._deferring

    def defer(self) -> None:
        """From now on Ctrl-C waits for `check`."""
        self._deferring = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed since the beginning."""
        if self.pending:
            raise KeyboardInterrupt


@contextmanager
def noted() -> Iterator[Interrupts]:
    """Within it Ctrl-C raises KeyboardInterrupt as ever, and is noted: what comes of that may be another exception."""
    interrupts = Interrupts()

    def pressed(_number: int, _frame: FrameType | None) -> None:
        interrupts.pending = True
        raise KeyboardInterrupt

    # Whoever ignores it, a process that a script has put into the background, say, goes on ignoring it.
    with _handling(pressed, signal.getsignal(signal.SIGINT) in (signal.default_int_handler, early.pressed)):
        yield interrupts


@contextmanager
def deferred(notice: Callable[[], None]) -> Iterator[Interrupts]:
    """Within it, and after `defer`, the first Ctrl-C calls `notice` and waits for `check`; any other raises at once."""
    interrupts = Interrupts()
    before = signal.getsignal(signal.SIGINT)

    def pressed(number: int, frame: FrameType | None) -> None:
        if interrupts.pending or not interrupts.deferring:
            interrupts.pending = True
            if callable(before):
                before(number, frame)
            raise KeyboardInterrupt
        interrupts.pending = True
        notice()

    with _handling(pressed):
        yield interrupts


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None], wanted: bool = True) -> Iterator[None]:
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread alone
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler if before is early.pressed else before)
