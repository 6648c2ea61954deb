"""Ctrl-C while TVM searches: kept until a moment at which stopping is safe.

Python raises KeyboardInterrupt wherever it happens to be, and inside a callback that TVM's C++ made, that ends the
whole process. So Ctrl-C only leaves a note, and whoever is at a safe point asks for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.pending = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed since the beginning."""
        if self.pending:
            raise KeyboardInterrupt


@contextmanager
def deferred(notice: Callable[[], None]) -> Iterator[Interrupts]:
    """Within it the first Ctrl-C calls `notice` and waits for `check`; a second one raises at once."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # signals go to the main thread alone
        return
    before = signal.getsignal(signal.SIGINT)

    def pressed(_number: int, _frame: FrameType | None) -> None:
        if interrupts.pending:
            raise KeyboardInterrupt
        interrupts.pending = True
        notice()

    signal.signal(signal.SIGINT, pressed)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
