"""Ctrl-C before a command has begun: one line, and no traceback, while its modules are imported.

To be imported before anything that takes time, and taking none itself. It is in force until
`compiler.commands.exits.run_command` begins. What comes before, Python's own start, nobody here can do anything about.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED = 130


def pressed(_number: int, _frame: FrameType | None) -> None:
    """The handler: nothing has been done yet, so there is nothing to end, and an import cannot be left in one piece."""
    os.write(2, b"error: interrupted\n")
    os._exit(INTERRUPTED)


def begin() -> None:
    """Have Ctrl-C handled here, unless it is handled or ignored already, as by a script that started this."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    try:
        signal.signal(signal.SIGINT, pressed)
    except ValueError:
        return  # this is not the main thread, which gets the signals


def end() -> None:
    """Undo `begin`."""
    if signal.getsignal(signal.SIGINT) is pressed:
        signal.signal(signal.SIGINT, signal.default_int_handler)


begin()
