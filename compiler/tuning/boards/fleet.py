"""The boards of a run: all of a tracker's key, or the one that an agent's address leads to."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import targets
from compiler.errors import EdgetuneError
from compiler.records.provenance import of_readings, runtime_of
from compiler.report import format as fmt
from compiler.runtime.rpc import tracker
from compiler.runtime.rpc.address import Address, Way
from compiler.runtime.rpc.identity import Identity
from compiler.tuning import limits
from compiler.tuning.boards import slot as slots
from compiler.tuning.boards.admission import Admission
from compiler.tuning.boards.board import Board
from compiler.tuning.boards.ending import answers
from compiler.tuning.boards.health import Health
from compiler.tuning.boards.jobs import BoardJob, JobQueue
from compiler.tuning.boards.slot import Slot
from compiler.tuning.runner import BoardsLostError
from compiler.tuning.state import BoardsState, BoardSummary, Drift
from compiler.tuning.work import Measured, Trial
from compiler.tuning.workers import Outcome

AWAY_SECONDS = 300.0
"""All boards are away for so long: the run ends."""
LOOK_SECONDS = 2.0
"""Between two looks at which boards the tracker knows."""
_CLOSE_SECONDS = 10.0


class Fleet:
    """A `Runner` on boards. Within `with`, a thread and a process for each board."""

    overlaps = True

    def __init__(
        self,
        way: Way,
        target: targets.Target,
        first: Identity,
        *,
        cool_below: float | None = None,
        away_seconds: float = AWAY_SECONDS,
    ) -> None:
        """`first` is what the first board is, which the others are compared with.

        `cool_below` is the temperature in degrees Celsius above which a board cools down before it measures;
        `away_seconds` how long all boards may be away. Raises EdgetuneError where the first board does not fit.
        """
        self.way = way
        self.target = target
        self.admission = Admission(target, first)
        self.fingerprint = self.admission.fingerprint
        self.tvm_version = first.tvm
        known = {"board": first.board, "power_mode": first.power_mode, "governor": first.governor}
        self.remarks: dict[str, Any] = {what: value for what, value in known.items() if value is not None}
        self._circumstances = {
            "governor": first.governor,
            "power_mode": first.power_mode,
            "system": f"Linux {first.kernel} {first.machine}" if first.kernel else None,
            "runtime": runtime_of(target.kind),
        }
        self.device = "cuda" if target.kind == "cuda" else "cpu"
        self.threads = 1 if target.kind == "cuda" else target.cores  # of the CPU, which only launches a GPU's kernels
        self.closing = threading.Event()
        self.jobs = JobQueue()
        self._cool_below = cool_below
        self._away_seconds = away_seconds
        self._lock = threading.Lock()
        self._boards: dict[Address, Board] = {}
        self._slots: list[Slot] = []
        self._measured: queue.SimpleQueue[Measured] = queue.SimpleQueue()
        self._notices: list[str] = []
        self._failure: BaseException | None = None
        self._repeats = 0
        self._known = 1
        self._away_since: float | None = None
        self._started = time.monotonic()
        self._look = threading.Thread(target=self._watch, name="edgetune-boards", daemon=True)

    # ---- as a Runner

    @property
    def slots(self) -> int:
        return max(1, sum(slot.state != slots.AWAY for slot in self._slots))

    def submit(self, trial: Trial) -> None:
        self.jobs.put(BoardJob(trial))

    def take(self, seconds: float) -> list[Measured]:
        """What was measured since the last call, waiting at most so long. Raises BoardsLostError as `Runner` says."""
        found: list[Measured] = []
        try:
            found.append(self._measured.get(timeout=seconds) if seconds > 0 else self._measured.get_nowait())
            while True:
                found.append(self._measured.get_nowait())
        except queue.Empty:
            pass
        if not found:
            self._must_have_boards()
        return found

    def cancel(self, repeats: bool = False) -> None:
        left = sum(job.trial is not None and job.trial.again for job in self.jobs.clear(repeats))
        if not repeats:
            return
        with self._lock:
            self._repeats -= left
            left += sum(len(board.since) for board in self._boards.values() if not board.health.steady)
        if left:
            self.notify(
                f"{fmt.count(left, 'measurement')} of a board that was not itself stand as they are: the run has ended "
                "before they were made again"
            )

    def check(self, job: dict[str, Any], timeout: float, poll: Callable[[], None]) -> Outcome:
        asked = BoardJob(check=job, timeout=max(timeout, limits.BOARD_CHECK_SECONDS))
        self.jobs.put(asked)
        while True:
            try:
                return asked.answer.get(timeout=0.25)
            except queue.Empty:
                poll()
                self._must_have_boards()

    def boards(self) -> BoardsState:
        states = [slot.state for slot in self._slots]
        waiting = sum(states.count(state) for state in (slots.STARTING, slots.IDLE, slots.BUSY))
        return BoardsState(
            states.count(slots.MEASURING),
            waiting,
            states.count(slots.COOLING),
            states.count(slots.AWAY),
            self._repeats,
        )

    def notices(self) -> list[str]:
        with self._lock:
            said, self._notices = self._notices, []
        return said

    def report(self) -> list[BoardSummary]:
        for board in self._boards.values():
            board.summary.celsius = board.health.celsius
        return [board.summary for _, board in sorted(self._boards.items()) if not board.refused]

    def __enter__(self) -> Fleet:
        if self.way.key is not None:
            self._known = max(1, len(self._listed()))
        for _ in range(self._known):
            self._add_slot()
        self._look.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.closing.set()
        self.jobs.wake()
        deadline = time.monotonic() + _CLOSE_SECONDS
        while any(slot.is_alive() for slot in self._slots) and time.monotonic() < deadline:
            for slot in self._slots:
                slot.abandon()
            for slot in self._slots:
                slot.join(0.05)

    # ---- as the slots' owner

    def wanted(self, slot: Slot) -> bool:
        """Whether there may be a board for `slot` that none of the others has."""
        with self._lock:
            refused = sum(board.refused for board in self._boards.values())
            return slot.number < max(1, self._known - (refused if self.way.key is not None else 0))

    def board(self, address: Address) -> Board:
        """What is known of the board at `address`."""
        with self._lock:
            if address not in self._boards:
                name = self.way.name or str(address)
                self._boards[address] = Board(address, Health(self._cool_below), BoardSummary(name))
            return self._boards[address]

    def somebody_answers(self) -> bool:
        """Whether an agent that the run may use answers, though it gives no session now."""
        if self.way.key is None:
            return answers(self.way.address)
        return any(answers(address) for address in self._listed())

    def finish(self, job: BoardJob, outcome: Outcome) -> None:
        """Hand over what became of a job."""
        if job.trial is not None and job.trial.again:
            with self._lock:
                self._repeats -= 1
        if job.trial is None:
            job.answer.put(outcome)
            return
        if not outcome.value:
            Path(job.trial.library).unlink(missing_ok=True)
        job.trial.provenance = of_readings(job.trial.readings, gpu=self.device == "cuda", **self._circumstances)
        self._measured.put(Measured(job.trial, outcome))

    def again(self, trials: Sequence[Trial]) -> None:
        """Have trials measured once more."""
        with self._lock:
            self._repeats += len(trials)
        for trial in trials:
            trial.again = True
            self.jobs.put(BoardJob(trial))

    def note_drift(self, board: Board) -> None:
        """Keep that a board has become slower, and say so."""
        drift = Drift(time.monotonic() - self._started, board.health.ratio)
        board.summary.drifts.append(drift)
        self.notify(
            f"the board {board.name} is {fmt.share(board.health.ratio - 1)} slower than it was at first, "
            "by its reference kernel"
        )

    def notify(self, line: str) -> None:
        """Have the user told something."""
        with self._lock:
            self._notices.append(line)

    def fail(self, error: BaseException) -> None:
        """End the run with what a slot did not expect."""
        self._failure = error

    # ---- boards that come and go

    def _add_slot(self) -> None:
        slot = Slot(self, len(self._slots))
        self._slots.append(slot)
        slot.start()

    def _listed(self) -> list[Address]:
        """The boards of the key that the tracker knows; none where it does not answer."""
        try:
            return [board.address for board in tracker.boards(self.way.address) if board.key == self.way.key]
        except EdgetuneError:
            return []

    def _watch(self) -> None:
        while not self.closing.wait(LOOK_SECONDS if self.way.key is not None else 1.0):
            if self.way.key is not None:
                listed = self._listed()
                # A tracker that was restarted does not know its boards yet, and those that measure go on.
                self._known = len(listed) or self._known
                for board in [b for a, b in self._boards.items() if b.refused and a not in listed]:
                    board.refused = False  # gone; whatever comes back there is looked at anew
                while len(self._slots) < self._known:
                    self._add_slot()

    def _must_have_boards(self) -> None:
        if self._failure is not None:
            raise self._failure
        if any(slot.state != slots.AWAY for slot in self._slots):
            self._away_since = None
        elif self._away_since is None:  # not since it was last asked: a search may have taken longer than boards may
            self._away_since = time.monotonic()
        elif time.monotonic() - self._away_since > self._away_seconds:
            raise BoardsLostError(f"no board of {self.way} has answered for {fmt.span(self._away_seconds)}")
