"""The search of one task: it begins with what needs no tuning, repeats nothing, follows its seed, and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import tvm
import tvm_ffi

import targets
from compiler.graph.scheduling import cpu_hardware, zero_trial
from compiler.graph.variants import Task
from compiler.records.record import Record, now
from compiler.records.workload import replay, trace_text, workload_of
from compiler.tvm_setup import prepare
from tests.schedules.kernels_for_tests import Case, concat_case, conv_case, dense_case, winograd_case

TARGET = targets.get("native")

LARGE = partial(conv_case, (1, 56, 56, 64), 64, pads=(1,))
SMALL = partial(conv_case, (1, 8, 8, 8), 8, pads=(1,))


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> Iterator[None]:
    prepare()
    yield


def search(make: Callable[[], Case], seed: int = 1) -> object:
    from compiler.tuning.search import Search

    task = make().task
    made = Task("task", task, workload_of(task).hash)
    return Search(made, TARGET.to_tvm(), cpu_hardware(TARGET), seed)


def seconds_of(candidate: object) -> list[float]:
    """A time that depends on the candidate alone, so that two runs learn the same."""
    return [1e-3 + int(candidate.id[:4], 16) * 1e-8] * 3  # type: ignore[attr-defined]


def rounds(found: object, count: int) -> list[list[str]]:
    """What is proposed in `count` rounds, each answered, or until there is no more."""
    first = found.default()  # type: ignore[attr-defined]
    found.start([], frozenset([first.id]))  # type: ignore[attr-defined]
    proposed = []
    for _ in range(count):
        candidates = found.propose(12)  # type: ignore[attr-defined]
        if not candidates:
            break
        proposed.append([c.id for c in candidates])
        found.learn(candidates, [seconds_of(c) for c in candidates])  # type: ignore[attr-defined]
    return proposed


@pytest.mark.parametrize(
    "make",
    [SMALL, partial(winograd_case, 2, (1, 8, 8, 16), 16), partial(dense_case, 1, 64, 96)],
    ids=["conv", "wino", "dense"],
)
def test_the_first_candidate_is_the_zero_trial_schedule(make: Callable[[], Case]) -> None:
    found = search(make)
    first = found.default()
    wanted = zero_trial(make().task, cpu_hardware(TARGET))
    assert tvm_ffi.structural_equal(tvm.ir.load_json(first.module), wanted.mod)
    assert trace_text(replay(first.trace, make().task)) == first.trace, "its trace is a record's"


def test_the_same_seed_proposes_the_same() -> None:
    first = rounds(search(LARGE, 7), 3)
    np.random.uniform(size=3)  # what else draws numbers in this process does not matter
    assert rounds(search(LARGE, 7), 3) == first
    assert rounds(search(LARGE, 8), 1) != first[:1]


def test_nothing_is_proposed_twice_and_the_search_ends() -> None:
    found = search(SMALL)
    proposed = rounds(found, 100)
    assert found.exhausted and found.propose(12) == []
    everything = [candidate for batch in proposed for candidate in batch]
    assert len(set(everything)) == len(everything)
    assert found.default().id not in everything
    assert all(len(batch) <= 12 for batch in proposed)


def test_what_comes_first_is_of_all_spaces() -> None:
    found = search(LARGE)
    found.start([], frozenset([found.default().id]))
    from compiler.tuning.features import factors

    seen = {factors(c.trace)[:1] + factors(c.trace)[2:5] for c in found.propose(len(found.traces) + 2)}
    assert len(seen) > len(found.traces) // 2


def test_seeds_are_a_rounds_first_candidates_and_proposed_once() -> None:
    found = search(LARGE)
    seeds = [found.at(2, {}), found.at(3, {})]
    found.start([], frozenset())
    batch = found.propose(8, seeds)
    assert [c.id for c in batch[:2]] == [c.id for c in seeds]
    assert len({c.id for c in batch}) == 8
    assert not {c.id for c in seeds} & {c.id for _ in range(4) for c in found.propose(8)}


def test_a_task_follows_what_another_has_learned() -> None:
    from compiler.tuning.cost_model import CostModel
    from compiler.tuning.features import factors
    from compiler.tuning.search import DRAWN, Search

    def task(channels: int) -> Task:
        mod = conv_case((1, 28, 28, 32), channels, pads=(1,)).task
        return Task("conv", mod, workload_of(mod).hash)

    def slow(candidate: object) -> float:
        """Candidates of few rows a piece are called fast, whatever else they are."""
        return 1e-3 * (2 + factors(candidate.trace)[1])  # type: ignore[attr-defined]

    def first(model: CostModel) -> float:
        found = Search(task(128), TARGET.to_tvm(), cpu_hardware(TARGET), 1, model)
        found.start([], frozenset())
        return float(np.mean([slow(c) for c in found.propose(8)[:-DRAWN]]))

    model = CostModel(1)
    teacher = Search(task(64), TARGET.to_tvm(), cpu_hardware(TARGET), 1, model)
    teacher.start([], frozenset())
    for _ in range(6):
        batch = teacher.propose(8)
        teacher.learn(batch, [[slow(c)] for c in batch])
    assert first(model) < first(CostModel(1))


def test_a_kernel_with_nothing_to_choose_ends_at_once() -> None:
    found = search(partial(concat_case, [(3,), (4,)], 0))
    assert rounds(found, 5) == []
    assert found.exhausted


def test_what_was_tried_before_is_not_proposed() -> None:
    before = rounds(search(SMALL), 1)[0]
    found = search(SMALL)
    found.start([], frozenset(before))
    for _ in range(4):
        batch = found.propose(12)
        assert not {c.id for c in batch} & set(before)
        found.learn(batch, [seconds_of(c) for c in batch])


def test_every_proposal_can_be_kept_and_replayed() -> None:
    found = search(LARGE)
    found.start([], frozenset())
    for candidate in found.propose(12):
        replayed = replay(candidate.trace, LARGE().task).mod.script()
        # A trace's JSON has numbers where a schedule has truth values.
        assert replayed == tvm.ir.load_json(candidate.module).script().replace('preproc": True', 'preproc": 1')


def test_failures_and_known_records_do_not_disturb_the_search() -> None:
    first = search(LARGE)
    first.start([], frozenset())
    batch = first.propose(12)
    records = [record(c, [1e-3, 2e-3]) for c in batch[:3]] + [record(batch[3], [1e-3], trace="[[],[]]")]
    found = search(LARGE)
    assert found.from_record(records[0]).id == batch[0].id
    found.start(records, frozenset(c.id for c in batch))
    for _ in range(3):
        proposed = found.propose(12)
        assert proposed and not {c.id for c in proposed} & {c.id for c in batch}
        # Every second one failed; the last ones were never measured.
        found.learn(proposed[:8], [seconds_of(c) if i % 2 else [] for i, c in enumerate(proposed[:8])])


def test_a_record_that_does_not_apply_is_no_candidate() -> None:
    other = search(partial(dense_case, 1, 64, 96)).default()
    assert search(SMALL).from_record(record(other, [1e-3])) is None


def record(candidate: object, seconds: list[float], **changes: object) -> Record:
    fields: dict[str, object] = {
        "workload": "0" * 16,
        "trace": candidate.trace,  # type: ignore[attr-defined]
        "seconds": tuple(seconds),
        "error": None,
        "fingerprint": "f",
        "target": TARGET.config(),
        "device": "d",
        "threads": 1,
        "tvm_version": "0",
        "tool_version": "0",
        "created": now(),
    }
    return Record(**{**fields, **changes})  # type: ignore[arg-type]
