"""`edgetune measure`: measure a batch that was carried to this board, and write the results to carry back."""

from __future__ import annotations

import importlib.util
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from compiler.errors import EdgetuneError, UsageError
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import Steps, steps

if TYPE_CHECKING:
    from compiler.tuning.offline.measuring import Tally

TERMINATED = 128 + signal.SIGTERM
_LINE_EVERY_S = 10.0


def measure(batch: str, results: str, output: Output) -> None:
    """Measure what `batch` holds and `results` does not say yet.

    Raises KeyboardInterrupt after Ctrl-C; SIGTERM ends the process with 143. What was measured is kept in both cases.
    """
    if not Path(batch).is_file():
        raise UsageError(f"there is no file {batch}")
    if Path(results).exists() and Path(results).samefile(batch):
        raise UsageError(f"-o {results}: this is the batch; give another name")
    if importlib.util.find_spec("tvm") is None:
        raise EdgetuneError("TVM is not installed here: pip install 'edgetune[rpc]', or use edgetune-agent measure")
    from compiler.tuning.offline.measuring import measure_batch

    with _terminable(), steps(output) as step:
        progress = _Progress(output, step)
        try:
            tally = measure_batch(Path(batch), Path(results), progress)
        except KeyboardInterrupt:
            kept = "nothing was measured yet"
            if progress.last is not None and progress.last.done:
                kept = f"{progress.last.done} of {progress.last.jobs} are in {results}, and the same command goes on"
            raise KeyboardInterrupt(kept) from None
    went_on = f", {tally.before} of them before" if tally.before else ""
    output.say(f"{results}: {fmt.count(tally.done, 'candidate')} measured{went_on}, {tally.failed} failed")
    output.json([{"results": results, "jobs": tally.jobs, "done": tally.done, "failed": tally.failed}])


class _Progress:
    """Shows how far it is."""

    def __init__(self, output: Output, step: Steps) -> None:
        self.last: Tally | None = None
        self._output = output
        self._step = step
        self._began = self._said = time.monotonic()

    def __call__(self, tally: Tally) -> None:
        self.last = tally
        now = time.monotonic()
        if not self._step.live and now - self._said < _LINE_EVERY_S and tally.done != tally.before:
            return
        self._said = now
        made = tally.done - tally.before
        left = (tally.jobs - tally.done) * (now - self._began) / made if made else None
        parts = [
            f"Measuring, {tally.done} of {tally.jobs}",
            f"{tally.failed} failed" if tally.failed else "",
            f"{fmt.span(left)} left" if left is not None and left >= 1 else "",
        ]
        self._step(", ".join(part for part in parts if part))


@contextmanager
def _terminable() -> Iterator[None]:
    """Within it SIGTERM ends the process in good order, its child included."""

    def ended(_number: int, _frame: FrameType | None) -> None:
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, ended)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
