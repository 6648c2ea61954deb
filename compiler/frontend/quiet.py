"""Keeps libraries from writing to the user's terminal and turns what they raise into one line."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Within it, warnings, prints and log lines of Python libraries go nowhere but into the buffer that it gives."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    printed = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            warnings.simplefilter("ignore")
            yield printed
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def quiet_natively() -> Iterator[io.StringIO]:
    """As `quiet`, and what C++ writes to the process's stderr goes nowhere too. For short sections: it holds for all
    threads.
    """
    sys.stderr.flush()
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        with quiet() as printed:
            yield printed
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


def one_line(error: BaseException | str, limit: int = 240) -> str:
    """The part of a library's message that says what is wrong, as one line of at most `limit` characters."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [
        line
        for line in lines
        if line and not line.startswith(("Traceback", "File ", "==>", "^", "Stack trace", "[bt]"))
    ]
    text = " ".join(" ".join(lines).split())
    if isinstance(error, KeyError) or not text:
        text = f"{type(error).__name__} {text}".strip()
    return text if len(text) <= limit else text[: limit - 3] + "..."
