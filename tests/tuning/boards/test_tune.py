"""Tuning on boards: real agents on loopback, that crash, vanish and come back while it goes on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import targets
from compiler.commands.device import Place, identity_at
from compiler.frontend import Model
from compiler.records.store import Store
from compiler.runtime.rpc.address import Way
from compiler.runtime.rpc.connect import connect
from compiler.runtime.rpc.dial import ask_status
from compiler.runtime.rpc.identity import board_fingerprint
from compiler.runtime.rpc.tracker import boards as known_boards
from compiler.tuning import limits
from compiler.tuning.boards import ending, health, slot
from compiler.tuning.boards.fleet import Fleet
from compiler.tuning.boards.health import Health, Verdict
from compiler.tuning.boards.jobs import BoardJob
from compiler.tuning.boards.slot import Slot
from compiler.tuning.state import TuneState, TuneSummary
from compiler.tuning.tune import Budget, list_tasks, tune
from compiler.tuning.workers import Outcome, Pool
from tests.runtime.agent import agents as agents_of_kinds
from tests.runtime.emulation.board import emulated_agent
from tests.tuning import models
from tests.tuning.boards import agents
from tests.tuning.boards.agents import KEY, Program, running
from tests.tuning.boards.planting import Copying, Planting
from tests.tuning.trials import trials
from tests.waiting import PATIENT_SECONDS, wait_for

TARGET = targets.get("native", 1)  # a board of the tests has one core, or several that it shares with others


@pytest.fixture(autouse=True)
def patient_with_boards(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that is slow to answer is not lost."""
    monkeypatch.setattr(ending, "_SOON_SECONDS", PATIENT_SECONDS)
    monkeypatch.setattr(ending, "_REAP_SECONDS", PATIENT_SECONDS)
    monkeypatch.setattr(slot, "CALL_SECONDS", PATIENT_SECONDS)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """The builders, which all tests of this module share."""
    with Pool(2, 1) as made:
        yield made


@pytest.fixture(scope="module")
def copies(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Copying:
    return Copying(pool, tmp_path_factory.mktemp("copies"), TARGET)


@pytest.fixture(scope="module")
def agent() -> Iterator[Program]:
    """An agent that the tests share which do it no harm, or which it has to survive."""
    program = agents.agent()
    with running(program):
        yield program


def fleet(way: Way, **options: float) -> Fleet:
    return Fleet(way, TARGET, identity_at(way), **options)


def registered(way: Way) -> int:
    """How many boards of its key a tracker knows."""
    return sum(board.key == way.key for board in known_boards(way.address))


def run(
    model: Model, store: Store, pool: Pool | Planting | Copying, boards: Fleet, count: int, progress: object = None
) -> TuneSummary:
    return tune(model, TARGET, store=store, budget=Budget(trials=count), runner=boards, builder=pool, progress=progress)  # type: ignore[arg-type]


def at(count: int, what: Callable[[], None], notices: list[str] | None = None) -> Callable[[TuneState], None]:
    """Does something once, when so many trials are measured; keeps the notices."""
    done: list[bool] = []

    def progress(state: TuneState) -> None:
        if notices is not None:
            notices.extend(state.notices)
        if state.trials >= count and not done:
            done.append(True)
            what()

    return progress


@pytest.fixture(params=["python", "native", "emulated"])
def any_agent(request: pytest.FixtureRequest) -> Iterator[Way]:
    """Agents of each kind; the emulated board's is behind a tracker."""
    if request.param == "python":
        yield request.getfixturevalue("agent").way
    elif request.param == "native":
        with agents_of_kinds.running(next(k for k in agents_of_kinds.KINDS if k.name == "native")) as started:
            yield Way(started.address)
    else:
        tracker = agents.tracker()
        with running(tracker), emulated_agent("native", key=KEY, tracker=str(tracker.address)):
            way = Way(tracker.address, KEY)
            wait_for(lambda: registered(way) == 1, what="the board is registered")
            yield way


def test_planted_candidates_fail_with_their_reason_and_the_agent_stays(
    model: Model, store: Store, pool: Pool, any_agent: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = any_agent
    [address] = [b.address for b in known_boards(way.address)] if way.key is not None else [way.address]
    target = Place(way, identity_at(way)).target("native", None if way.key is not None else 1)
    before = ask_status(address)
    phases: set[str] = set()
    count = 20 if way.key is None else 32
    planting = Planting(pool, {4: "crash", 7: "hang", 9: "nan", 12: "abort"}, tmp_path, target)
    measure = Slot._run

    def measured(self: Slot, job: dict[str, Any]) -> Any:
        monkeypatch.setattr(limits, "BOARD_MEASURE_SECONDS", 3.0 if planting.hangs(job["library"]) else PATIENT_SECONDS)
        return measure(self, job)

    monkeypatch.setattr(Slot, "_run", measured)
    with Fleet(way, target, identity_at(way)) as boards:
        summary = tune(
            *(model, target),
            store=store,
            budget=Budget(trials=count),
            runner=boards,
            builder=planting,
            progress=lambda s: phases.add(s.phase),
        )
    made = trials(store)
    assert summary.trials == len(made) == count and summary.ended == "the budget is spent" and not summary.lost
    assert sorted(r.error for r in made if r.error is not None) == [
        "crashed the session on the board (SIGABRT)",
        "crashed the session on the board (SIGSEGV)",
        "the output holds NaN",
        "timed out after 3 s",
    ]
    assert summary.failed == 4
    [board] = summary.boards
    assert (board.board, board.trials, board.crashes, board.lost) == (str(address), count - 4, 2, 0)
    after = ask_status(address)
    assert after["uptime_s"] > before["uptime_s"] and after["failed_sessions"] - before["failed_sessions"] == 2
    # The records are the board's, every task was measured before any twice, and the best kernels are checked there.
    identity = identity_at(way)
    fingerprint = board_fingerprint(identity, target)
    assert {(r.fingerprint, r.device, r.tvm_version, r.threads) for r in made} == {
        (fingerprint.id, fingerprint.device, identity.tvm, target.cores)
    }
    assert len({r.workload for r in made[: len(summary.tasks)]}) == len(summary.tasks)
    assert all(t.default_seconds is not None for t in summary.tasks if t.failed == 0)
    best = [store.best(t.hash, fingerprint.id) for t in summary.tasks if t.best_seconds is not None]
    assert best and all(r is not None and r.checked for r in best)
    assert {"building and measuring", "searching", "checking"} <= phases


def test_a_board_that_is_killed_again_and_again_costs_nothing(model: Model, store: Store, copies: Copying) -> None:
    agent = agents.agent().start()
    kills, silences, last = [0], [0.0], [time.monotonic()]

    def progress(state: TuneState) -> None:
        silences.append(time.monotonic() - last[0])
        last[0] = time.monotonic()
        if state.trials >= 3 + 9 * kills[0]:
            kills[0] += 1
            agent.kill()
            agent.launch()

    try:
        with fleet(agent.way) as boards:
            summary = run(model, store, copies, boards, 40, progress)
    finally:
        agent.stop()
    made = trials(store)
    assert kills[0] == 5
    assert summary.trials == len(made) == 40 and not summary.lost
    assert len({(r.workload, r.trace_id) for r in made}) == 40, "none twice, none left out"
    assert summary.failed == 0, [r.error for r in made if r.error]
    assert max(silences) < PATIENT_SECONDS


def test_when_all_boards_stay_away_the_run_ends_and_is_gone_on_with(
    model: Model, store: Store, copies: Copying, agent: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = agents.agent().start()
    notices: list[str] = []
    monkeypatch.setattr(slot, "BACKOFF", (0.1,))
    try:
        with fleet(dying.way, away_seconds=3.0) as boards:
            finish, finished = boards.finish, [0]

            def finish_and_die(job: BoardJob, outcome: Outcome) -> None:
                finish(job, outcome)
                finished[0] += job.trial is not None
                if finished[0] == 3:
                    dying.kill()

            monkeypatch.setattr(boards, "finish", finish_and_die)
            first = run(model, store, copies, boards, 20, at(1000, lambda: None, notices))
    finally:
        dying.stop()
    assert first.lost and not first.interrupted
    assert first.ended == f"no board of {dying.address} has answered for 3s"
    assert 3 == first.trials == len(trials(store)) and first.failed == 0
    assert any("waiting for it to come back" in line for line in notices)
    with fleet(agent.way) as boards:
        second = run(model, store, copies, boards, 20)
    assert second.resumed == first.trials and second.trials == len(trials(store)) == 20
    assert len({r.run for r in trials(store)}) == 1


def test_ctrl_c_ends_it_within_seconds(model: Model, store: Store, pool: Pool, agent: Program, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    planting = Planting(pool, dict.fromkeys(range(3, 9), "hang"), tmp_path, TARGET)
    with fleet(agent.way) as boards:
        started: list[float] = []

        def progress(state: TuneState) -> None:
            if state.trials >= 2:
                started.append(time.monotonic())
                interrupt()

        summary = run(model, store, planting, boards, 20, progress)
    assert summary.interrupted and time.monotonic() - started[0] < PATIENT_SECONDS < limits.BOARD_MEASURE_SECONDS
    wait_for(lambda: ask_status(agent.address)["state"] == "free", what="the agent is free")


def test_a_board_that_others_use_is_waited_for(
    model: Model, store: Store, copies: Copying, agent: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "OPEN_PATIENCE", 0.3)
    notices: list[str] = []
    other = connect(agent.way)

    def progress(state: TuneState) -> None:
        notices.extend(state.notices)
        assert state.trials == 0 or other.lost
        if notices and not other.lost:
            other.close()

    with fleet(agent.way, away_seconds=0.5) as boards:
        summary = run(model, store, copies, boards, 8, progress)
    assert summary.trials == 8 and not summary.lost, "a board that is at work is not away"
    [line] = notices
    assert line.startswith(f"waiting for a board: the agent at {agent.address} has been at work for ")


def in_turns(boards: Fleet, pair: Sequence[Program]) -> Callable[[BoardJob, Outcome], None]:
    """The fleet's `finish`, which keeps a board that has measured much until both of `pair` have measured some."""
    measured = dict.fromkeys((program.port for program in pair), 0)
    finish, changed = boards.finish, threading.Condition()

    def finish_in_turns(job: BoardJob, outcome: Outcome) -> None:
        thread = threading.current_thread()
        port = thread._board.address.port if isinstance(thread, Slot) and thread._board is not None else 0
        finish(job, outcome)
        with changed:
            measured[port] = measured.get(port, 0) + 1
            changed.notify_all()
            both = [program.port for program in pair]
            changed.wait_for(lambda: measured[port] < 12 or all(measured[p] > 4 for p in both), PATIENT_SECONDS)

    return finish_in_turns


def test_two_boards_of_a_tracker_share_the_work_and_a_third_joins(
    model: Model, store: Store, copies: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = agents.tracker()
    with running(tracker):
        pair = [agents.agent(tracker), agents.agent(tracker)]
        third = agents.agent(tracker)
        with running(*pair):
            way = Way(tracker.address, KEY)
            wait_for(lambda: registered(way) == 2, what="both boards are registered")
            try:
                with fleet(way) as boards:
                    assert boards.slots == 2
                    monkeypatch.setattr(boards, "finish", in_turns(boards, pair))
                    # More than the budget asks for is not measured, however many there are to measure it.
                    summary = run(model, store, copies, boards, 40, at(4, third.launch))
                    wait_for(lambda: len(boards._slots) == 3, what="the third has joined")
            finally:
                third.stop()
    assert summary.trials == len(trials(store)) == 40 and summary.failed == 0
    names = {board.board: board.trials for board in summary.boards}
    assert {str(a.address) for a in pair} <= set(names) and all(names[str(a.address)] > 4 for a in pair)
    assert sum(names.values()) == 40


def test_a_tracker_that_restarts_is_a_pause_at_most(model: Model, store: Store, copies: Copying) -> None:
    tracker = agents.tracker().start()
    agent = agents.agent(tracker)

    def restart() -> None:
        tracker.kill()
        tracker.start()

    try:
        with running(agent):
            way = Way(tracker.address, KEY)
            wait_for(lambda: registered(way) == 1, what="the board is registered")
            with fleet(way) as boards:
                summary = run(model, store, copies, boards, 16, at(3, restart))
                # What needs a new session needs the tracker.
                boards._slots[0]._opened -= 1000
                assert run(model, store, copies, boards, 4).trials == 4
    finally:
        tracker.stop()
    assert summary.trials == 16 and summary.failed == 0 and not summary.lost


def test_a_board_that_is_another_is_left_out(model: Model, store: Store, copies: Copying) -> None:
    tracker = agents.tracker()
    notices: list[str] = []
    with running(tracker):
        first = agents.agent(tracker)
        with running(first):
            way = Way(tracker.address, KEY)
            wait_for(lambda: registered(way) == 1, what="the board is registered")
            identity = identity_at(way)
            if identity.cores < 2:
                pytest.skip("the boards of the test differ in how many cores they have: one core is too few")
            other = agents.agent(tracker, cpus=[min(os.sched_getaffinity(0))])
            with running(other):
                wait_for(lambda: registered(way) == 2, what="both are registered")
                with Fleet(way, TARGET, identity) as boards:
                    summary = run(model, store, copies, boards, 30, at(1000, lambda: None, notices))
    assert summary.trials == 30 and summary.failed == 0
    assert [board.board for board in summary.boards] == [str(first.address)]
    assert notices == [
        f"the board {other.address} is left out: it has 1 core, and the first board has {identity.cores} cores"
    ]


def test_a_time_budget_ends_it(model: Model, store: Store, pool: Pool, agent: Program) -> None:
    with fleet(agent.way) as boards:
        started = time.monotonic()
        summary = tune(model, TARGET, store=store, budget=Budget(seconds=4.0), runner=boards, builder=pool)
    assert summary.ended == "the budget is spent" and time.monotonic() - started < 120
    assert summary.trials == len(trials(store))


def test_sensors_and_the_reference_are_looked_at_meanwhile(
    model: Model, store: Store, copies: Copying, agent: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "SENSORS_SECONDS", 0.05)
    monkeypatch.setattr(health, "REFERENCE_SECONDS", 0.05)
    monkeypatch.setattr(health, "LARGE", 1e9)  # kernels of microseconds on a busy machine
    looked: list[float] = []
    note = Health.note_reference

    def noted(self: Health, seconds: Sequence[float]) -> Verdict:
        looked.append(min(seconds))
        return note(self, seconds)

    monkeypatch.setattr(Health, "note_reference", noted)
    with fleet(agent.way, cool_below=149.0) as boards:
        summary = run(model, store, copies, boards, 24)
        [board] = boards._boards.values()
    assert len(looked) >= 2 and board.reference is not None and Path(board.reference["library"]).name
    assert summary.trials == len(trials(store)) == 24 and summary.failed == 0
    assert all(drift.ratio > health.SMALL for drift in summary.boards[0].drifts)


def test_one_task_alone_and_nothing_to_choose(
    model: Model, store: Store, copies: Copying, pool: Pool, agent: Program, tmp_path: Path
) -> None:
    task = next(t for t in list_tasks(model, TARGET) if "conv2d" in t.name)
    with fleet(agent.way) as boards:
        summary = tune(
            model, TARGET, store=store, budget=Budget(trials=14), tasks={task.index}, runner=boards, builder=copies
        )
    assert summary.trials == 14 and {r.workload for r in trials(store)} == {task.hash}
    with fleet(agent.way) as boards:
        bare = tune(
            models.nothing_to_choose(tmp_path), TARGET, store=store, budget=Budget(), runner=boards, builder=pool
        )
    assert bare.ended == "nothing improves any more" and len([t for t in bare.tasks if t.failed]) == 1
