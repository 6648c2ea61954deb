"""Measuring on this machine's GPU: a thread of its own keeps it at work, while all cores build what comes next.

Clock, temperature and power are read beside each measurement. One that the GPU was slowed down in, by heat or by its
limit of power, is made again when that is over.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import targets
from compiler.records.provenance import ThisMachine
from compiler.tuning import limits
from compiler.tuning.state import BoardsState, BoardSummary
from compiler.tuning.work import Measured, Trial
from compiler.tuning.workers import Outcome, Pool, gpu_failed

AGAIN = 3
"""Measurements of a trial at most. A GPU that one wait did not help is slowed down for good, and measured as it is."""
COOL_SECONDS = 20.0
_LOOK_SECONDS = 0.25

Read = Callable[[], Mapping[str, Any]]
"""Gives what the sensors say now, as `runtime.sensors.reading` does."""


class GpuRunner:
    """A `Runner` on the GPU of this machine. Within `with`, a thread and a process."""

    overlaps = True
    slots = 1

    def __init__(
        self, target: targets.Target, *, l2: str = "flush", device: str = "cuda", read: Read | None = None
    ) -> None:
        """`l2` is one of `device_clock.KINDS`; `device` is TVM's name of where kernels run; `read` is for tests."""
        self.fingerprint = targets.fingerprint(target)
        self.tvm_version = targets.tvm_version()
        self.remarks: dict[str, Any] = {"l2": l2}
        self._how = {"device": device, "l2": l2}
        self._device = device
        self._machine = ThisMachine(target)
        self._read = read if read is not None else self._machine.readings
        self._summary = BoardSummary(self.fingerprint.device, own_gpu=True)
        self._pool = Pool(1, 1)
        self._trials: queue.Queue[Trial] = queue.Queue()
        self._measured: queue.SimpleQueue[Measured] = queue.SimpleQueue()
        self._notices: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._using = threading.Lock()
        self._measuring = False
        self._cooling = False
        self._slow_for_good = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="edgetune-gpu", daemon=True)
        self._failure: BaseException | None = None

    def submit(self, trial: Trial) -> None:
        self._trials.put(trial)

    def take(self, seconds: float) -> list[Measured]:
        found: list[Measured] = []
        with contextlib.suppress(queue.Empty):
            found.append(self._measured.get(timeout=seconds) if seconds > 0 else self._measured.get_nowait())
            while True:
                found.append(self._measured.get_nowait())
        if not found and self._failure is not None:
            raise self._failure
        return found

    def cancel(self, repeats: bool = False) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._trials.get_nowait()

    def check(self, job: dict[str, Any], timeout: float, poll: Callable[[], None]) -> Outcome:
        return self._done("check", {**job, "device": self._device}, timeout)

    def boards(self) -> BoardsState:
        measuring = self._measuring and not self._cooling
        return BoardsState(measuring=int(measuring), cooling=int(self._cooling), own_gpu=True)

    def notices(self) -> list[str]:
        said: list[str] = []
        with contextlib.suppress(queue.Empty):
            while True:
                said.append(self._notices.get_nowait())
        return said

    def report(self) -> list[BoardSummary]:
        return [self._summary]

    def __enter__(self) -> GpuRunner:
        self._pool.start()
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self.cancel()
        self._thread.join(limits.MEASURE_SECONDS)
        self._pool.close()

    def _work(self) -> None:
        try:
            while not self._closing.is_set():
                try:
                    trial = self._trials.get(timeout=_LOOK_SECONDS)
                except queue.Empty:
                    continue
                self._measuring = True
                outcome = self._measure(trial)
                Path(trial.library).unlink(missing_ok=True)
                self._measured.put(Measured(trial, outcome))
                self._measuring = not self._trials.empty()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for results
            self._failure = error

    def _measure(self, trial: Trial) -> Outcome:
        """Measure a trial, again where the GPU was slowed down meanwhile."""
        for turn in range(AGAIN):
            outcome = self._done("measure", {**trial.job(), **self._how}, limits.MEASURE_SECONDS)
            readings = self._read()
            self._note(readings)
            trial.readings = readings
            trial.provenance = self._machine.of(readings)
            slow = trial.provenance.throttled is True
            self._slow_for_good = self._slow_for_good and slow
            if outcome.error is not None or not slow or self._slow_for_good or turn == AGAIN - 1:
                break
            if turn == 0:
                self._notices.put("the GPU is slowed down, by heat or its limit of power: waiting, and measuring again")
            if not self._cool_down() and not self._closing.is_set():
                self._slow_for_good = True
                self._notices.put(f"the GPU is still slowed down after {COOL_SECONDS:g} s: it is measured as it is")
                break
        self._summary.trials += 1
        return outcome

    def _done(self, kind: str, job: dict[str, Any], timeout: float) -> Outcome:
        """The outcome of a job. Where the GPU failed, CUDA fails whatever the same process asks of it from then on: the
        next job gets another."""
        with self._using:
            [outcome] = self._pool.map(kind, [job], timeout)
            if outcome.error is not None and gpu_failed(outcome.error):
                self._pool.abandon()
        return outcome

    def _note(self, readings: Mapping[str, Any]) -> None:
        celsius = [value for name, value in (readings.get("celsius") or {}).items() if name.startswith("gpu")]
        if celsius:
            self._summary.celsius = max([*celsius, self._summary.celsius or -273.0])

    def _cool_down(self) -> bool:
        """Wait until the GPU is not slowed down any more, or not any longer; whether it is not."""
        self._cooling = True
        try:
            deadline = time.monotonic() + COOL_SECONDS
            while time.monotonic() < deadline and not self._closing.wait(_LOOK_SECONDS):
                if self._machine.of(self._read()).throttled is not True:
                    return True
            return False
        finally:
            self._cooling = False
