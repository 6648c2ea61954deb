"""When a board is looked at, and what its readings and its reference kernel mean: a clock that tests move."""

from __future__ import annotations

import pytest

from compiler.tuning.boards import health
from compiler.tuning.boards.health import Health, Verdict, hottest_of


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_sensors_are_read_before_the_first_candidate_and_then_now_and_then(clock: Clock) -> None:
    board = Health(None, clock)
    assert board.sensors_due
    assert not board.note_sensors({"celsius": {"cpu": 55.0, "gpu": 71.5}})
    assert not board.sensors_due and board.celsius == 71.5
    clock.now += health.SENSORS_SECONDS
    assert board.sensors_due
    board.note_sensors({"celsius": {"cpu": 50.0}})
    assert board.celsius == 71.5, "the highest of the run"


def test_only_a_board_above_the_limit_cools_down(clock: Clock) -> None:
    board = Health(70.0, clock)
    assert not board.note_sensors({"celsius": {"cpu": 70.0}})
    assert board.note_sensors({"celsius": {"cpu": 50.0, "gpu": 70.1}})
    assert not board.note_sensors({"celsius": {}}), "nothing is known"
    assert not Health(None, clock).note_sensors({"celsius": {"cpu": 99.0}}), "nobody asked for it"


@pytest.mark.parametrize(
    "said", [{}, {"celsius": None}, {"celsius": [80]}, {"celsius": {"cpu": "hot", "x": float("nan")}}]
)
def test_what_is_no_temperature_is_none(said: dict[str, object]) -> None:
    assert hottest_of(said) is None


def test_there_is_no_reference_until_one_is_set(clock: Clock) -> None:
    board = Health(None, clock)
    clock.now += 1e6
    assert not board.reference_due and board.steady
    board.set_reference([0.0021, 0.0020, 0.0025])
    assert board.reference == 0.0020 and not board.reference_due
    clock.now += health.REFERENCE_SECONDS
    assert board.reference_due
    board.postpone_reference()
    assert not board.reference_due


def test_small_drift_is_said_and_changes_nothing(clock: Clock) -> None:
    board = Health(None, clock)
    board.set_reference([0.100])
    assert board.note_reference([0.120, 0.104, 0.110]) is Verdict.STEADY, "its fastest repeat counts"
    assert board.note_reference([0.106]) is Verdict.SLOWER
    assert board.steady and board.ratio == pytest.approx(1.06) and not board.reference_due
    assert board.note_reference([0.090]) is Verdict.STEADY
    assert board.reference == 0.090, "this fast it can be"
    assert board.note_reference([0.100]) is Verdict.SLOWER


def test_large_drift_stops_the_board_until_it_is_itself_again(clock: Clock) -> None:
    board = Health(None, clock)
    board.set_reference([0.100])
    assert board.note_reference([0.120]) is Verdict.UNSTEADY
    assert not board.steady and not board.reference_due
    clock.now += health.UNSTEADY_SECONDS
    assert board.reference_due, "it is asked again soon"
    assert board.note_reference([0.130]) is Verdict.UNSTEADY
    clock.now += health.UNSTEADY_SECONDS
    assert board.note_reference([0.101]) is Verdict.STEADY
    assert board.steady and not board.reference_due and board.reference == 0.100


def test_a_board_that_stays_slow_is_taken_as_it_is(clock: Clock) -> None:
    board = Health(None, clock)
    board.set_reference([0.100])
    verdicts = []
    for _ in range(1 + int(health.PATIENCE_SECONDS / health.UNSTEADY_SECONDS)):
        verdicts.append(board.note_reference([0.200]))
        clock.now += health.UNSTEADY_SECONDS
    assert set(verdicts[:-1]) == {Verdict.UNSTEADY} and verdicts[-1] is Verdict.CHANGED
    assert board.steady and board.reference == 0.200
    assert board.note_reference([0.201]) is Verdict.STEADY
