"""What a command is doing right now: a spinner with the time on a terminal, a line per step elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from compiler.report import format as fmt

if TYPE_CHECKING:
    from rich.status import Status

    from compiler.report.output import Output

_WORTH_SAYING_S = 2.0


class Steps:
    """Call it with a text at the beginning of each step."""

    def __init__(self, output: Output, status: Status | None) -> None:
        self._output = output
        self._status = status
        self._step = ""
        self._since = time.perf_counter()

    @property
    def live(self) -> bool:
        """Whether steps replace each other; where each takes a line, many small ones would be noise."""
        return self._status is not None

    def __call__(self, step: str) -> None:
        """The step that begins now."""
        self._ended()
        self._step, self._since = step, time.perf_counter()
        if self._status is not None:
            from rich.text import Text

            self._status.update(Text(step))
        else:
            self._output.note(f"{step} ...")

    def _ended(self) -> None:
        took = time.perf_counter() - self._since
        if self._step and self._status is not None and took > _WORTH_SAYING_S:
            self._output.note(f"{self._step}: {fmt.span(took)}")


@contextmanager
def steps(output: Output) -> Iterator[Steps]:
    """Shows what is announced within it; the last step ends with it."""
    if not output.watched:
        made = Steps(output, None)
        yield made
        made._ended()
        return
    from rich.text import Text

    with output.progress_console.status(Text("")) as status:
        made = Steps(output, status)
        yield made
        made._ended()
