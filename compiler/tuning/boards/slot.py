"""A thread that keeps one board busy: it holds a session, hands it one job after another, and copes with what happens.

The session is in a process of its own (compiler/tuning/worker/board.py), which is killed when a job takes too long.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from compiler.errors import EdgetuneError
from compiler.runtime.rpc.address import Address
from compiler.runtime.rpc.identity import decode_identity
from compiler.tuning import limits
from compiler.tuning.boards.board import Board
from compiler.tuning.boards.ending import answers, failed_sessions, why_ended
from compiler.tuning.boards.health import Verdict
from compiler.tuning.boards.jobs import BoardJob
from compiler.tuning.runner import AWAY as WENT_AWAY
from compiler.tuning.workers import BOARD, Outcome, Pool, gpu_failed

if TYPE_CHECKING:
    from compiler.tuning.boards.fleet import Fleet

SESSION_SECONDS = 60.0
"""After so long a session is given back, so that others who wait for the board get a turn."""
SESSION_LIMIT = 900.0
"""The agent ends it by then, should the desk be forgotten."""
IDLE_SECONDS = 10.0
"""A session that has had nothing to do for so long is given back."""
OPEN_PATIENCE = 5.0
OPEN_SECONDS = 40.0
SEND_SECONDS = 60.0
CALL_SECONDS = 10.0
COOL_SECONDS = 300.0
COOL_STEP = 5.0
BACKOFF = (0.5, 1.0, 2.0, 4.0, 8.0)
MOST_LOSSES = 3

# What a slot is doing, as progress counts it.
STARTING, IDLE, MEASURING, BUSY, COOLING, AWAY = "starting", "idle", "measuring", "busy", "cooling", "away"


class _LostError(Exception):
    """The session has ended while nothing of a candidate ran, or the board does not answer."""


class Slot(threading.Thread):
    """Keeps one board busy. With a tracker, it is any board of the key, another one with each session."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        super().__init__(name=f"edgetune-board-{number}", daemon=True)
        self.number = number
        self.state = STARTING
        self._fleet = fleet
        self._pool = Pool(1, 1, BOARD)
        self._board: Board | None = None
        self._opened = 0.0
        self._failed_before: int | None = None
        self._used = 0.0
        self._failures = 0
        self._said_away = False

    def abandon(self) -> None:
        """End what it does, from another thread; the fleet has to be closing."""
        self._pool.abandon()

    def run(self) -> None:
        fleet = self._fleet
        self._pool.start()  # here: a worker ends with the thread that started it
        try:
            while not fleet.closing.is_set():
                try:
                    self._step()
                except _LostError:
                    self._lose()
        except BaseException as error:  # noqa: BLE001 - it is raised where the run is
            if not fleet.closing.is_set():
                fleet.fail(error)
        finally:
            self._pool.close()

    def _step(self) -> None:
        fleet = self._fleet
        if self._board is None and not fleet.wanted(self):
            self.state = AWAY
            fleet.closing.wait(1.0)
            return
        if not fleet.jobs.wait(1.0, fleet.closing.is_set):
            if self._board is not None and time.monotonic() - self._used > IDLE_SECONDS:
                self._leave()
            return
        if self._board is not None and time.monotonic() - self._opened > SESSION_SECONDS:
            self._leave()
        if self._board is None and not self._open():
            return
        if not self._healthy():
            return
        job = fleet.jobs.take()
        if job is not None:
            self._do(job)
            self._used = time.monotonic()

    # ---- the session

    def _open(self) -> bool:
        """Open a session; whether there is one. Waits before the next try where not."""
        fleet = self._fleet
        way = fleet.way
        host, port = way.address
        asked = {"host": host, "port": port, "key": way.key, "limit": SESSION_LIMIT, "patience": OPEN_PATIENCE}
        outcome = self._ask("open", asked, OPEN_SECONDS)
        error = outcome.error or outcome.value.get("error")
        if error is not None:
            self.state = BUSY if fleet.somebody_answers() else AWAY
            if self.state == AWAY and not self._said_away and self._failures >= 1:
                self._said_away = True
                fleet.notify(f"{way}: {error}; waiting for it to come back")
            elif self.state == BUSY and self._failures == 1:
                fleet.notify(f"waiting for a board: {error}")
            self._back_off()
            return False
        address = Address(*outcome.value["address"])
        try:
            identity = decode_identity(outcome.value["identity"])
            reason = fleet.admission.why_not(identity)
        except EdgetuneError as unfit:
            reason = str(unfit)
        board = fleet.board(address)
        if reason is not None:
            if not board.refused:
                fleet.notify(f"the board {board.name} is left out: {reason}")
            board.refused = True
            self._ask("close", {}, CALL_SECONDS)
            self.state = AWAY
            self._back_off()
            return False
        if self._said_away:
            self._said_away = False
            fleet.notify(f"the board {board.name} is back")
        board.refused = False
        self._board, self._failures = board, 0
        self._failed_before = failed_sessions(address)
        self._opened = self._used = time.monotonic()
        self.state = IDLE
        return True

    def _leave(self) -> None:
        """Give the session back."""
        self._board = None
        self.state = IDLE
        self._ask("close", {}, CALL_SECONDS)

    def _lose(self) -> None:
        """The session has ended by itself."""
        self._board = None
        self.state = AWAY
        self._back_off()

    def _back_off(self) -> None:
        seconds = BACKOFF[min(self._failures, len(BACKOFF) - 1)]
        self._failures += 1
        self._fleet.closing.wait(seconds)

    # ---- jobs

    def _do(self, job: BoardJob) -> None:
        """Do a job, or put it back where the board went away over it."""
        fleet, board = self._fleet, self._board
        if board is None:  # lost while its sensors were read
            fleet.jobs.put(job, first=True)
            return
        self.state = MEASURING
        try:
            outcome = self._run(job.trial.job()) if job.trial is not None else self._check(job)
        except _LostError as lost:
            board.summary.lost += 1
            job.losses += 1
            if job.losses < MOST_LOSSES:
                fleet.jobs.put(job, first=True)
            else:
                reason = str(lost)
                fleet.finish(job, Outcome(error=f"{WENT_AWAY} {MOST_LOSSES} times{reason and f': {reason}'}"))
            raise
        self.state = IDLE
        if job.trial is not None and outcome.value:
            board.measured(job.trial, outcome.value)
        fleet.finish(job, outcome)

    def _run(self, job: dict[str, Any]) -> Outcome:
        """Send and measure a library. Raises _LostError where a failure is the board's."""
        fleet = self._fleet
        name = job["library"].rpartition("/")[2]
        self._send(job["library"])
        wanted = {**job, "library": name, "threads": fleet.threads, "device": fleet.device}
        outcome = self._ask("measure", {"job": wanted}, limits.BOARD_MEASURE_SECONDS)
        return self._judge(outcome, "seconds")

    def _check(self, job: BoardJob) -> Outcome:
        asked = dict(job.check)
        for library in sorted({asked["candidate"], asked["reference"]}):
            self._send(library)
        for role in ("candidate", "reference"):
            asked[role] = asked[role].rpartition("/")[2]
        outcome = self._ask(
            "check", {**asked, "threads": self._fleet.threads, "device": self._fleet.device}, job.timeout
        )
        return self._judge(outcome, "difference")

    def _send(self, library: str) -> None:
        outcome = self._ask("send", {"library": library}, SEND_SECONDS)
        error = outcome.error or outcome.value.get("error")
        if error is not None:
            raise _LostError(str(error))

    def _judge(self, outcome: Outcome, result: str) -> Outcome:
        """What a job's answer means: its `result`, or what the candidate did. Raises _LostError as `_run` does."""
        board = self._board
        answer = outcome.value if outcome.error is None else {"error": outcome.error, "lost": True}
        if "error" not in answer:
            return Outcome(value=answer[result])
        if not answer["lost"]:
            if board is not None and self._fleet.device != "cpu" and gpu_failed(str(answer["error"])):
                self._leave()  # the next job gets a session, and so a process, of its own
            return Outcome(error=str(answer["error"]))
        if board is None:
            raise _LostError
        if outcome.error is not None:
            # The desk's own process was killed for it, or has died of something that is no candidate's fault.
            if not outcome.error.startswith("timed out") or not answers(board.address):
                raise _LostError
            self._board = None
            return Outcome(error=outcome.error)
        reason = why_ended(board.address, self._opened, self._failed_before)
        if reason is None:
            raise _LostError
        self._board = None  # the session is no more
        board.summary.crashes += 1
        return Outcome(error=reason)

    # ---- health

    def _healthy(self) -> bool:
        """Read sensors and measure the reference where it is time; whether the board is to get a candidate now."""
        board = self._board
        if board is None:
            return False
        health = board.health
        if health.sensors_due and health.note_sensors(self._value("sensors", {}, CALL_SECONDS)):
            self._cool(board)
        return self._steady(board) if health.reference_due and board.reference is not None else True

    def _cool(self, board: Board) -> None:
        fleet, limit = self._fleet, board.health.cool_below
        self.state = COOLING
        answer: dict[str, Any] = {}
        deadline = time.monotonic() + COOL_SECONDS
        while time.monotonic() < deadline and not fleet.closing.is_set():
            answer = self._value("cool_down", {"celsius": limit, "seconds": COOL_STEP}, COOL_STEP + CALL_SECONDS)
            if answer.get("reached"):
                break
        if not answer.get("reached") and not fleet.closing.is_set():
            fleet.notify(
                f"the board {board.name} is at {answer.get('celsius')} degrees after {COOL_SECONDS:g} s of cooling: "
                f"{limit:g} is not reached here, and measuring goes on"
            )
        self._used = time.monotonic()
        self.state = IDLE

    def _steady(self, board: Board) -> bool:
        """Measure the reference; whether the board is itself."""
        fleet, health = self._fleet, board.health
        self.state = MEASURING
        outcome = self._run(board.reference) if board.reference is not None else Outcome()
        if outcome.value is None:  # a kernel that was good once: whatever it is, it is not the next candidate's fault
            health.postpone_reference()
            return self._board is not None
        was_steady = health.steady
        verdict = health.note_reference(outcome.value)
        self.state = IDLE
        if verdict is Verdict.STEADY or verdict is Verdict.SLOWER:
            if verdict is Verdict.SLOWER:
                fleet.note_drift(board)
            if was_steady:
                board.trust()
            else:
                fleet.notify(f"the board {board.name} is itself again: what it measured meanwhile is measured again")
                fleet.again(board.doubt())
            return True
        if verdict is Verdict.CHANGED:
            fleet.notify(f"the board {board.name} stays slower than it was: from now on, that is what it is")
            fleet.again(board.doubt())
            return True
        if was_steady:
            fleet.note_drift(board)
        self.state = COOLING
        fleet.closing.wait(1.0)
        return False

    # ---- the process

    def _ask(self, kind: str, arguments: dict[str, Any], timeout: float) -> Outcome:
        return self._pool.map(kind, [arguments], timeout)[0]

    def _value(self, kind: str, arguments: dict[str, Any], timeout: float) -> dict[str, Any]:
        """What a question about the board itself gives. Raises _LostError where the session ended; {} for no answer."""
        outcome = self._ask(kind, arguments, timeout)
        if outcome.error is not None or outcome.value.get("lost"):
            raise _LostError
        return {} if "error" in outcome.value else dict(outcome.value)
