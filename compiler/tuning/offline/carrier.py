"""The `Runner` of a board that no network reaches: it takes trials and gives none back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import targets
from compiler.tuning.state import BoardsState, BoardSummary
from compiler.tuning.work import Measured, Trial
from compiler.tuning.workers import Outcome


class Carrier:
    """Collects what is submitted in `trials`: somebody carries it to the board."""

    overlaps = False
    slots = 1

    def __init__(self, fingerprint: targets.Fingerprint) -> None:
        """`fingerprint` is the board's, as far as it is known."""
        self.fingerprint = fingerprint
        self.tvm_version = fingerprint.tvm_version
        self.remarks: dict[str, Any] = {}
        self.trials: list[Trial] = []

    def submit(self, trial: Trial) -> None:
        self.trials.append(trial)

    def take(self, seconds: float) -> list[Measured]:
        return []

    def cancel(self, repeats: bool = False) -> None:
        """Nothing is under way."""

    def check(self, job: dict[str, Any], timeout: float, poll: Callable[[], None]) -> Outcome:
        return Outcome(error="not run")

    def boards(self) -> BoardsState | None:
        return None

    def notices(self) -> list[str]:
        return []

    def report(self) -> list[BoardSummary]:
        return []
