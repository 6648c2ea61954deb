"""What a slot does with a board that is hot or not itself, without a board: its answers are made up here."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from compiler.runtime.rpc.address import Address
from compiler.tuning.boards import health, slot
from compiler.tuning.boards.board import Board
from compiler.tuning.boards.health import Health
from compiler.tuning.boards.slot import Slot
from compiler.tuning.state import BoardSummary, Drift
from compiler.tuning.work import Trial
from compiler.tuning.workers import Outcome


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Fleet:
    """What a slot needs of one."""

    def __init__(self) -> None:
        self.closing = threading.Event()
        self.closing.wait = lambda timeout=None: False  # type: ignore[method-assign,assignment]
        self.notices: list[str] = []
        self.repeated: list[Trial] = []

    def notify(self, line: str) -> None:
        self.notices.append(line)

    def again(self, trials: list[Trial]) -> None:
        self.repeated += trials

    def note_drift(self, board: Board) -> None:
        board.summary.drifts.append(Drift(0.0, board.health.ratio))


class Made(Slot):
    """A slot whose board answers what `answers` hold, job by job."""

    def __init__(self, fleet: Fleet, board: Board) -> None:
        super().__init__(fleet, 0)  # type: ignore[arg-type]
        self._board = board
        self.answers: list[Outcome] = []
        self.asked: list[str] = []

    def _ask(self, kind: str, arguments: dict[str, Any], timeout: float) -> Outcome:
        self.asked.append(kind)
        return self.answers.pop(0)

    def _run(self, job: dict[str, Any]) -> Outcome:
        return self._ask("run", job, 0.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(clock: Clock) -> Made:
    address = Address("board", 9090)
    return Made(Fleet(), Board(address, Health(70.0, clock), BoardSummary(str(address))))


def fleet_of(made: Made) -> Fleet:
    return made._fleet  # type: ignore[return-value]


def board_of(made: Made) -> Board:
    assert made._board is not None
    return made._board


def trial(folder: Path, name: str) -> Trial:
    library = folder / name
    library.touch()
    return Trial(None, None, str(library), [])  # type: ignore[arg-type]


def sensors(celsius: float) -> Outcome:
    return Outcome(value={"celsius": {"cpu": celsius}})


def with_reference(made: Made, seconds: float = 0.1) -> Board:
    board = board_of(made)
    board.reference = {"library": "reference.so"}
    board.health.set_reference([seconds])
    board.health.note_sensors({})
    return board


def test_a_hot_board_cools_down_before_it_measures(made: Made) -> None:
    cool = [Outcome(value={"celsius": c, "waited": 5.0, "reached": c < 70}) for c in (80.0, 75.0, 69.0)]
    made.answers = [sensors(85.0), *cool]
    assert made._healthy()
    assert made.asked == ["sensors", "cool_down", "cool_down", "cool_down"]
    assert board_of(made).health.celsius == 85.0 and not fleet_of(made).notices
    assert made._healthy() and made.answers == [], "nothing is due again so soon"


def test_a_limit_that_is_not_reached_is_said_and_ends_nothing(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "COOL_SECONDS", 0.05)

    def ask(kind: str, arguments: dict[str, Any], timeout: float) -> Outcome:
        return sensors(85.0) if kind == "sensors" else Outcome(value={"celsius": 84.0, "reached": False})

    made._ask = ask  # type: ignore[method-assign]
    assert made._healthy()
    [line] = fleet_of(made).notices
    assert "84.0 degrees" in line and "70 is not reached here" in line


def test_a_board_without_sensors_measures(made: Made) -> None:
    made.answers = [Outcome(value={"error": "nothing to read", "lost": False})]
    assert made._healthy()


def test_what_was_measured_while_the_board_was_itself_counts(made: Made, clock: Clock, tmp_path: Path) -> None:
    board = with_reference(made)
    board.since = [trial(tmp_path, "a.so"), trial(tmp_path, "b.so")]
    clock.now += health.REFERENCE_SECONDS
    made.answers = [Outcome(value={}), Outcome(value=[0.101, 0.105])]
    assert made._healthy()
    assert board.since == [] and list(tmp_path.iterdir()) == [], "their libraries are not needed any more"
    assert fleet_of(made).repeated == [] and board.summary.drifts == []


def test_a_little_drift_is_kept_and_said(made: Made, clock: Clock, tmp_path: Path) -> None:
    board = with_reference(made)
    board.since = [trial(tmp_path, "a.so")]
    clock.now += health.REFERENCE_SECONDS
    made.answers = [Outcome(value={}), Outcome(value=[0.108])]
    assert made._healthy()
    assert [round(d.ratio, 2) for d in board.summary.drifts] == [1.08]
    assert board.since == [] and fleet_of(made).repeated == []


def test_what_a_board_measured_when_it_was_not_itself_is_measured_again(
    made: Made, clock: Clock, tmp_path: Path
) -> None:
    board = with_reference(made)
    doubtful = [trial(tmp_path, "a.so"), trial(tmp_path, "b.so")]
    board.since = list(doubtful)
    clock.now += health.REFERENCE_SECONDS
    made.answers = [Outcome(value={}), Outcome(value=[0.150])]
    assert not made._healthy(), "it gets no candidate now"
    assert fleet_of(made).repeated == [] and made.state == slot.COOLING
    clock.now += health.UNSTEADY_SECONDS
    made.answers = [Outcome(value=[0.140])]
    assert not made._healthy()
    clock.now += health.UNSTEADY_SECONDS
    made.answers = [Outcome(value=[0.102])]
    assert made._healthy()
    assert fleet_of(made).repeated == doubtful and board.since == []
    assert all(Path(t.library).exists() for t in doubtful)
    assert len(board.summary.drifts) == 1, "one drift, however long it lasted"
    assert "is itself again" in fleet_of(made).notices[-1]


def test_a_board_that_stays_slow_goes_on_as_it_is(made: Made, clock: Clock, tmp_path: Path) -> None:
    board = with_reference(made)
    board.since = [trial(tmp_path, "a.so")]
    clock.now += health.REFERENCE_SECONDS
    board.health.note_sensors({})
    for _ in range(100):
        made.answers = (
            [Outcome(value=[0.2])] if not board.health.sensors_due else [Outcome(value={}), Outcome(value=[0.2])]
        )
        if made._healthy():
            break
        clock.now += health.UNSTEADY_SECONDS
    assert board.health.reference == 0.2 and len(fleet_of(made).repeated) == 1
    assert "stays slower" in fleet_of(made).notices[-1]


def test_a_reference_that_cannot_be_measured_is_no_verdict(made: Made, clock: Clock) -> None:
    board = with_reference(made)
    clock.now += health.REFERENCE_SECONDS
    made.answers = [Outcome(value={}), Outcome(error="timed out after 20 s")]
    assert made._healthy() and board.health.steady
    assert not board.health.reference_due


@pytest.mark.parametrize(
    ("device", "error", "left"),
    [
        ("cuda", "CUDA Runtime Error: cudaErrorIllegalAddress (700)", True),
        ("cuda", "the output holds NaN", False),
        ("cpu", "there is no CUDA here", False),
    ],
)
def test_a_session_in_which_the_gpu_failed_is_given_back(made: Made, device: str, error: str, left: bool) -> None:
    made._fleet.device = device
    made.answers = [Outcome(value={})]
    outcome = made._judge(Outcome(value={"error": error, "lost": False}), "seconds")
    assert outcome.error == error
    assert made.asked == ["close"] * left and (made._board is None) is left
