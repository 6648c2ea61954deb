"""Budgets: what they allow, and that what an interrupted run spent counts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UsageError
from compiler.tuning.budget import Budget, Spending
from compiler.tuning.state import TaskState


@pytest.mark.parametrize("trials", [0, -1])
def test_a_budget_of_no_trials_is_wrong_use(trials: int) -> None:
    with pytest.raises(UsageError, match="--trials"):
        Budget(trials=trials)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_budget_of_no_time_is_wrong_use(seconds: float) -> None:
    with pytest.raises(UsageError, match="--time"):
        Budget(seconds=seconds)


def test_without_limits_nothing_is_ever_spent() -> None:
    spending = Spending(Budget(), trials=10**9, seconds=1e9)
    assert not spending.spent
    assert spending.trials_left is None and spending.seconds_left == float("inf")
    assert spending.afford(7) == 7


@given(st.integers(1, 1000), st.integers(0, 2000), st.integers(0, 100))
def test_trials_are_spent_one_by_one(budget: int, done: int, wanted: int) -> None:
    spending = Spending(Budget(trials=budget), trials=done)
    affordable = spending.afford(wanted)
    assert 0 <= affordable <= wanted
    assert done + affordable <= max(budget, done)
    assert spending.spent == (done >= budget)
    spending.trials += affordable
    assert spending.afford(1) == (0 if spending.trials >= budget else 1)


def test_time_goes_on_from_the_interrupted_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    spending = Spending(Budget(seconds=10.0), seconds=9.95)
    assert not spending.spent and 0 < spending.seconds_left <= 0.051
    now += 0.06
    assert spending.spent and spending.seconds >= 10.0
    assert spending.afford(5) == 5, "time does not count trials"


def test_whichever_comes_first_ends_it() -> None:
    assert Spending(Budget(trials=5, seconds=100.0), trials=5).spent
    assert Spending(Budget(trials=5, seconds=1.0), seconds=2.0).spent
    assert not Spending(Budget(trials=5, seconds=100.0), trials=4, seconds=1.0).spent


def test_the_rate_of_a_task_needs_a_time_and_a_count() -> None:
    assert TaskState(1, "t", "h", 1, flops=2e9, best_seconds=0.5).gflops == 4.0
    assert TaskState(1, "t", "h", 1, flops=2e9).gflops is None
    assert TaskState(1, "t", "h", 1, best_seconds=0.5).gflops is None
