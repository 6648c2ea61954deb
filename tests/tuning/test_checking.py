"""Whose fault it is when two kernels cannot be compared; what they compute is checked where models are tuned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compiler.tuning.checking import Checker
from compiler.tuning.runner import AWAY
from compiler.tuning.workers import Outcome


class Runner:
    """Gives these outcomes, one after another."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.left = list(outcomes)

    def check(self, job: dict[str, Any], timeout: float, poll: Callable[[], None]) -> Outcome:
        return self.left.pop(0)


@pytest.mark.parametrize("error", ["timed out after 10 s", f"{AWAY} and did not come back"])
def test_what_was_not_done_in_time_is_not_tried_again(tmp_path: Path, error: str) -> None:
    runner = Runner(Outcome(error=error))
    checker = Checker(None, "", {}, tmp_path, lambda: None)  # type: ignore[arg-type]
    checker._compare(None, {"candidate": "a.so", "reference": "b.so", "arguments": []}, runner)  # type: ignore[arg-type]
    assert not runner.left


def test_where_the_reference_fails_too_nothing_is_marked(tmp_path: Path) -> None:
    runner = Runner(Outcome(error="crashed: SIGSEGV"), Outcome(error="crashed: SIGSEGV"))
    checker = Checker(None, "", {}, tmp_path, lambda: None)  # type: ignore[arg-type]
    checker._compare(None, {"candidate": "a.so", "reference": "b.so", "arguments": []}, runner)  # type: ignore[arg-type]
    assert not runner.left
