"""Building while others measure: real searches, with builders and boards that take no time, or just as much as a test
wants."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import targets
from compiler.frontend import Model
from compiler.records.store import Store
from compiler.tuning import overlap
from compiler.tuning.runner import BoardsLostError
from compiler.tuning.state import BoardsState, BoardSummary, TuneState, TuneSummary
from compiler.tuning.tune import Budget, tune
from compiler.tuning.work import Measured, Trial
from compiler.tuning.workers import Outcome
from tests.tuning.stand_in import StandInBuilder
from tests.tuning.trials import trials

TARGET = targets.get("native", 1)


class Builder(StandInBuilder):
    """Builds nothing, at once; `failing` says which of its builds, from 1, fail."""

    def __init__(self, failing: Sequence[int] = ()) -> None:
        self.failing = failing
        self.built = 0

    def build(self, job: dict[str, Any]) -> Outcome:
        self.built += 1
        failed = self.built in self.failing
        return Outcome(error="no registers left") if failed else Outcome(value=(job["library"], []))


class Boards:
    """Measures what it is given in the order in which it comes, `each` trials at a time."""

    overlaps = True
    tvm_version = "0.0"

    def __init__(self, each: int = 3) -> None:
        self.slots = self.each = each
        self.fingerprint = targets.fingerprint(TARGET)
        self.remarks: dict[str, Any] = {"power_mode": "MAXN"}
        self.waiting: list[Trial] = []
        self.measured: list[Trial] = []
        self.repeat: Trial | None = None
        self.lost_after: int | None = None
        self.before: Callable[[], None] = lambda: None

    def submit(self, trial: Trial) -> None:
        self.waiting.append(trial)

    def take(self, seconds: float) -> list[Measured]:
        if self.lost_after is not None and len(self.measured) >= self.lost_after:
            raise BoardsLostError("no board has answered for 5m")
        if not self.waiting:
            time.sleep(min(seconds, 0.01))
            return []
        self.before()
        now, self.waiting = self.waiting[: self.each], self.waiting[self.each :]
        self.measured += now
        if self.repeat is None and len(self.measured) > 5:
            self.repeat = self.measured[0]
            self.repeat.again = True
            now.append(self.repeat)
        return [Measured(t, Outcome(value=[1e-3 / (1 + len(self.measured))] * 3)) for t in now]

    def cancel(self, repeats: bool = False) -> None:
        self.waiting.clear()

    def check(self, job: dict[str, Any], timeout: float, poll: Callable[[], None]) -> Outcome:
        return Outcome(value=0.0)

    def boards(self) -> BoardsState:
        return BoardsState(measuring=1 if self.waiting else 0, away=1)

    def notices(self) -> list[str]:
        return ["a line"]

    def report(self) -> list[BoardSummary]:
        return [BoardSummary("board:9090", len(self.measured))]


def run(
    model: Model,
    store: Store,
    boards: Boards,
    builder: Builder,
    budget: Budget,
    progress: Callable[[TuneState], None] | None = None,
) -> TuneSummary:
    return tune(model, TARGET, store=store, budget=budget, runner=boards, builder=builder, progress=progress)


def test_every_task_once_then_the_best_ones_to_the_last_trial(model: Model, store: Store) -> None:
    boards, states = Boards(), []

    def progress(state: TuneState) -> None:
        states.append((state.boards, tuple(state.notices)))

    summary = run(model, store, boards, Builder(failing=[3, 9]), Budget(trials=30), progress)
    made = trials(store)
    # One of them was measured again, which does not count against the budget.
    assert boards.repeat is not None and len(made) == summary.trials == 31 and summary.failed == 2
    count = len(summary.tasks)
    assert len({r.workload for r in made[:count]}) == count
    assert sorted(Counter((r.workload, r.trace_id) for r in made).values())[-2:] == [1, 2]
    assert [r.error for r in made if r.error] == ["build: no registers left"] * 2
    assert {dict(r.extra).get("power_mode") for r in made} == {"MAXN"} and {r.tvm_version for r in made} == {"0.0"}
    assert summary.ended == "the budget is spent" and [b.board for b in summary.boards] == ["board:9090"]
    assert sum(t.default_seconds is not None for t in summary.tasks) == count - 1, "but for the one that was not built"
    assert any(b is not None and b.measuring for b, _ in states) and {n for _, n in states} == {("a line",)}
    assert summary.trials_per_minute is not None and summary.trials_per_minute > 0


def test_builds_go_on_while_boards_measure(model: Model, store: Store) -> None:
    boards, builder = Boards(each=1), Builder()
    ahead: list[int] = []

    def before() -> None:
        time.sleep(0.02)  # a measurement, during which the builder's thread runs
        ahead.append(builder.built - len(boards.measured))

    boards.before = before
    run(model, store, boards, builder, Budget(trials=24))
    assert max(ahead) > 2, "there was always something to measure next"
    assert max(ahead) < 40, "but not so much that the search could not learn from it"


def test_one_task_alone_keeps_boards_busy(model: Model, store: Store) -> None:
    boards = Boards(each=8)
    summary = tune(model, TARGET, store=store, budget=Budget(trials=40), tasks={2}, runner=boards, builder=Builder())
    made = trials(store)
    assert summary.ended in ("the budget is spent", "nothing improves any more")
    assert len({(r.workload, r.trace_id) for r in made}) >= len(made) - 1, "none is proposed twice"


def test_when_boards_are_lost_what_they_measured_is_kept(model: Model, store: Store) -> None:
    boards = Boards()
    boards.lost_after = 9
    summary = run(model, store, boards, Builder(), Budget(trials=30))
    assert summary.lost and not summary.interrupted and summary.ended == "no board has answered for 5m"
    assert summary.trials == len(trials(store)) >= 9
    boards.lost_after = None
    again = run(model, store, boards, Builder(), Budget(trials=30))
    assert again.resumed == summary.trials and again.ended == "the budget is spent"
    assert not [t for t in threading.enumerate() if t.name == "edgetune-build"]


class Unsteady(Boards):
    """Boards that find, near the end, that three measurements are to be made again; each look takes one of them."""

    def __init__(self, answers: bool) -> None:
        super().__init__()
        self.repeat = Trial(None, None)  # type: ignore[arg-type]  # none besides
        self.answers = answers
        self.doubtful: list[Trial] = []
        self.found = False
        self.dropped = 0

    def take(self, seconds: float) -> list[Measured]:
        if not self.waiting and self.doubtful and self.answers:
            return [Measured(self.doubtful.pop(), Outcome(value=[1e-3]))]
        taken = super().take(seconds)
        if len(self.measured) >= 12 and not self.found:
            self.found, self.doubtful = True, self.measured[:3]
            for trial in self.doubtful:
                trial.again = True
        return taken

    def cancel(self, repeats: bool = False) -> None:
        super().cancel()
        if repeats:
            self.dropped, self.doubtful = len(self.doubtful), []

    def boards(self) -> BoardsState:
        return BoardsState(waiting=1, repeats=len(self.doubtful))


def test_what_is_in_doubt_at_the_end_is_measured_again_first(model: Model, store: Store) -> None:
    boards = Unsteady(answers=True)
    summary = run(model, store, boards, Builder(), Budget(trials=12))
    assert summary.ended == "the budget is spent"
    assert summary.trials == len(trials(store)) == 12 + 3 and boards.dropped == 0


def test_what_cannot_be_measured_again_in_time_is_left(
    model: Model, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "LAST_SECONDS", 0.1)
    monkeypatch.setattr(overlap, "REPEATS_SECONDS", 0.3)
    boards = Unsteady(answers=False)
    summary = run(model, store, boards, Builder(), Budget(trials=12))
    assert summary.trials == len(trials(store)) == 12 and boards.dropped == 3
