"""An external meter: what its log says of the windows, aligned by the time of day (docs/power.md)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from compiler.bench.power.board import TOO_OLD, tells_windows
from compiler.bench.power.meter import Clock, idle_here
from compiler.bench.power.readings import INTEGRATED, Readings
from compiler.bench.power.table import MeterLog, read_log, shown_time
from compiler.errors import EdgetuneError, UsageError
from compiler.runtime.rpc.connect import Connection
from compiler.runtime.sensors.energy import power_energy
from compiler.runtime.timing import Edges, Window

PATIENCE_S = 10.0
"""A meter's program may write what it has read a few seconds later."""
_LOOK_S = 0.5
_IDLE_READINGS = 4
_LONGEST_IDLE_S = 60.0


def must_be_log(path: str, offset: float) -> None:
    """Raises UsageError where `path` is no log of a meter: before anything is measured."""
    if not Path(path).is_file():
        raise UsageError(f"--power-csv {path}: there is no such file: start the meter's log first")
    try:
        read_log(Path(path), offset)
    except EdgetuneError as error:
        raise UsageError(f"--power-csv {error}") from None


class ExternalMeter:
    """The log at `path`, `offset` seconds added to its times; `board` where a board runs what is measured. See `Meter`.

    The log is read when the measurement is over; `patience` is for how many seconds it may lack the last window.
    """

    def __init__(
        self, path: Path, offset: float = 0.0, board: Connection | None = None, patience: float = PATIENCE_S
    ) -> None:
        self.why: str | None = None
        self.edges: Edges | None = None
        self._path = path
        self._offset = offset
        self._board = board
        self._patience = patience

    def start(self) -> None:
        """Nothing is read yet; an old agent on the board cannot say when its runs ran."""
        if self._board is not None and not tells_windows(self._board):
            self.why = TOO_OLD
            return
        self.edges = Clock()

    def idle(self, seconds: float) -> Window:
        """See `Meter.idle`: `seconds`, or longer where readings are far apart."""
        log = read_log(self._path, self._offset)
        if len(log.times) > 2:
            seconds = min(max(seconds, _IDLE_READINGS * log.period), _LONGEST_IDLE_S)
        if self._board is None:
            return idle_here(seconds, Clock())
        wall, begin = time.time(), time.monotonic()
        time.sleep(seconds)
        return Window(begin, time.monotonic(), wall)

    def stop(self, windows: Sequence[Window]) -> Readings:
        """See `Meter.stop`: also raised where the log does not cover the measurement."""
        self.edges = None
        spans = [(window.wall, window.wall + window.end - window.begin) for window in windows]
        first, last = min((begin for begin, _ in spans), default=0.0), max((end for _, end in spans), default=0.0)
        log = self._log_until(last)
        if len(log.times) < 2 or log.times[0] > first or log.times[-1] < last:
            covers = f"{shown_time(log.times[0])} to {shown_time(log.times[-1])}" if log.times else "nothing"
            raise EdgetuneError(
                f"{self._path} covers {covers}, and this was measured from {shown_time(first)} to {shown_time(last)}: "
                "its clock may be wrong (--power-offset), or its time zone"
            )
        energies = [power_energy(log.times, log.watts, begin, end, log.period) for begin, end in spans]
        return Readings(self._path.name, "what the meter feeds", INTEGRATED, log.period, energies)

    def close(self) -> None:
        """See `Meter.close`."""

    def _log_until(self, last: float) -> MeterLog:
        deadline = time.monotonic() + self._patience
        while True:
            log = read_log(self._path, self._offset)
            left = deadline - time.monotonic()
            # One that ended long ago will not be gone on with.
            growing = not log.times or log.times[-1] > time.time() - 2 * self._patience
            if (log.times and log.times[-1] >= last) or not growing or left <= 0:
                return log
            time.sleep(min(_LOOK_S, left))
