"""What a fleet keeps of measurements that are to be made again, without any board."""

from __future__ import annotations

from pathlib import Path

import pytest

import targets
from compiler.runtime.agent.identity import identity
from compiler.runtime.rpc.address import Address, Way
from compiler.runtime.rpc.identity import decode_identity
from compiler.tuning.boards.fleet import Fleet
from compiler.tuning.boards.jobs import BoardJob
from compiler.tuning.work import Trial
from compiler.tuning.workers import Outcome


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(Way(Address("127.0.0.1", 1)), targets.get("native", 1), decode_identity(identity(None)))


def trials(folder: Path, count: int) -> list[Trial]:
    made = []
    for number in range(count):
        library = folder / f"{number}.so"
        library.touch()
        made.append(Trial(None, None, library=str(library)))  # type: ignore[arg-type]
    return made


def test_what_is_to_be_measured_again_is_waited_for(fleet: Fleet, tmp_path: Path) -> None:
    new, doubtful = trials(tmp_path, 5)[:2], trials(tmp_path, 5)[2:]
    for trial in new:
        fleet.submit(trial)
    fleet.again(doubtful)
    assert fleet.boards().repeats == 3
    fleet.cancel()
    assert len(fleet.jobs) == 3 and fleet.boards().repeats == 3 and not fleet.notices()
    job = fleet.jobs.take()
    assert job is not None and job.trial is doubtful[0]
    fleet.finish(job, Outcome(value=[1e-3]))
    assert fleet.boards().repeats == 2
    assert [measured.trial for measured in fleet.take(0.0)] == [doubtful[0]]


def test_what_is_never_measured_again_is_told(fleet: Fleet, tmp_path: Path) -> None:
    fleet.again(trials(tmp_path, 2))
    board = fleet.board(Address("board", 9090))
    board.health.set_reference([0.1])
    board.health.note_reference([0.2])
    board.since = trials(tmp_path, 1)
    fleet.cancel(repeats=True)
    assert fleet.boards().repeats == 0 and len(fleet.jobs) == 0
    [line] = fleet.notices()
    assert line.startswith("3 measurements of a board that was not itself stand as they are")
    fleet.cancel(repeats=True)
    assert len(fleet.notices()) == 1, "the board is still not itself"


def test_a_check_is_no_measurement(fleet: Fleet) -> None:
    fleet.jobs.put(BoardJob(check={"candidate": "a"}))
    fleet.cancel()
    assert len(fleet.jobs) == 0 and not fleet.notices()
