"""What a worker measures and compares, with real libraries: all repeats, cold weights, NaN, and kernels that differ."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compiler.tuning.workers import Outcome, Pool
from tests.tuning import libraries

_numbers = itertools.count()
NEVER_A_NUMBER = "te.log(0 - x * x - 1)"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(1, 1) as made:
        yield made


def measured(pool: Pool, folder: Path, formula: str, **changes: Any) -> Outcome:
    return pool.map("measure", [{**libraries.built(pool, folder, formula=formula), **changes}], 240)[0]


def compared(pool: Pool, folder: Path, candidate: str, reference: str) -> Outcome:
    # Names of their own: the loader knows libraries by name.
    found = libraries.built(pool, folder, f"library{next(_numbers)}", candidate)
    expected = libraries.built(pool, folder, f"library{next(_numbers)}", reference)
    job = {"candidate": found["library"], "reference": expected["library"], "arguments": found["arguments"]}
    return pool.map("check", [job], 240)[0]


def test_every_repeat_is_kept(pool: Pool, tmp_path: Path) -> None:
    outcome = measured(pool, tmp_path, "x + 1", repeats=5)
    assert outcome.error is None and len(outcome.value) == 5 and all(s > 0 for s in outcome.value)


def test_a_slow_candidate_is_not_repeated(pool: Pool, tmp_path: Path) -> None:
    outcome = measured(pool, tmp_path, "x + 1", repeats=5, give_up=1e-12)
    assert len(outcome.value) == 1 and outcome.value[0] > 0


def test_one_slow_call_does_not_end_a_measurement(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call may be disturbed; only a second slow one is believed."""
    from compiler.runtime.measure import candidate as measure

    durations = iter([9.0, 1.0, 1.5, 1.5, 1.5])
    monkeypatch.setattr(measure, "_time", lambda *_: next(durations))
    job = libraries.built(pool, tmp_path)
    assert measure.measure(**{**job, "repeats": 3, "give_up": 2.0}) == [1.5, 1.5, 1.5]
    durations = iter([9.0, 8.0])
    assert measure.measure(**{**job, "repeats": 3, "give_up": 2.0}) == [8.0]


def test_weights_may_be_rotated(pool: Pool, tmp_path: Path) -> None:
    assert libraries.good(measured(pool, tmp_path, "x * 2", weights=[0]))


def test_an_output_that_is_never_a_number_is_an_error(pool: Pool, tmp_path: Path) -> None:
    outcome = measured(pool, tmp_path, NEVER_A_NUMBER)
    assert outcome.error is not None and "NaN" in outcome.error and "\n" not in outcome.error


@pytest.mark.parametrize("formula", ["te.sqrt(x)", "te.log(x)", "te.power(x, tvm.tirx.const(0.3, 'float32'))"])
def test_a_kernel_that_wants_positive_numbers_can_be_measured(pool: Pool, tmp_path: Path, formula: str) -> None:
    """In a model it gets them: the variance of a normalisation, say, from the kernel before."""
    outcome = measured(pool, tmp_path, formula)
    assert libraries.good(outcome), outcome.error


def test_the_same_kernel_differs_by_nothing(pool: Pool, tmp_path: Path) -> None:
    assert compared(pool, tmp_path, "x * 3", "x + x + x").value < 1e-6
    assert compared(pool, tmp_path, "x", "x").value == 0.0


@pytest.mark.parametrize(("candidate", "reference"), [("x + 1", "x + 2"), ("te.max(x, tvm.tirx.const(0.0))", "x")])
def test_a_kernel_that_computes_something_else_is_told(
    pool: Pool, tmp_path: Path, candidate: str, reference: str
) -> None:
    assert compared(pool, tmp_path, candidate, reference).value > 0.1


def test_nan_where_there_should_be_a_number_is_told(pool: Pool, tmp_path: Path) -> None:
    assert compared(pool, tmp_path, NEVER_A_NUMBER, "x").value == float("inf")
    assert compared(pool, tmp_path, "te.sqrt(x)", "te.abs(x)").value == float("inf")


def test_kernels_that_want_positive_numbers_can_be_compared(pool: Pool, tmp_path: Path) -> None:
    assert compared(pool, tmp_path, "te.sqrt(x)", "te.sqrt(x)").value == 0.0
    assert compared(pool, tmp_path, "te.sqrt(x) + 1", "te.sqrt(x)").value > 0.1
    assert compared(pool, tmp_path, "te.sqrt(x - 3)", "te.sqrt(x - 3)").value == 0.0, "not a number, both"


@pytest.mark.parametrize(("seconds", "calls"), [(0.01, 1), (0.001, 3)])
def test_threads_are_awake_before_the_first_time_is_taken(seconds: float, calls: int) -> None:
    """A slow kernel is called once for that, a fast one until some milliseconds are over; each with new weights."""
    from compiler.runtime.measure import candidate as measure

    seen: list[int] = []

    def kernel(turn: int) -> None:
        seen.append(turn)
        time.sleep(seconds)

    measure._warm(kernel, ([turn] for turn in itertools.count()))
    assert 1 <= len(seen) <= calls and seen == list(range(len(seen)))
