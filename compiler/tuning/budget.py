"""When tuning ends: after so many trials, so much time, or when nothing improves."""

from __future__ import annotations

import time
from dataclasses import dataclass

from compiler.errors import UsageError


@dataclass(frozen=True)
class Budget:
    """`trials` measurements and `seconds` of tuning at most; None is without that limit."""

    trials: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise UsageError("--trials takes a whole number from 1")
        if self.seconds is not None and not self.seconds > 0:
            raise UsageError("--time takes a positive time, such as 90s, 10m or 1h30m")


class Spending:
    """What of a budget is spent, counting what an interrupted run spent before; `checking` seconds are kept back."""

    def __init__(self, budget: Budget, trials: int = 0, seconds: float = 0.0, checking: float = 0.0) -> None:
        self.budget = budget
        self.trials = trials
        self._checking = checking
        self._before = seconds
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of tuning so far, those of an interrupted run included."""
        return self._before + time.monotonic() - self._started

    @property
    def spent(self) -> bool:
        return self.trials_left == 0 or self.seconds_left <= 0.0

    @property
    def trials_left(self) -> int | None:
        return None if self.budget.trials is None else max(0, self.budget.trials - self.trials)

    @property
    def seconds_left(self) -> float:
        """For searching."""
        return float("inf") if self.budget.seconds is None else self.budget.seconds - self._checking - self.seconds

    @property
    def checking_seconds_left(self) -> float:
        """For checking what was found: what was kept back, or all that searching left over."""
        return self._checking if self.budget.seconds is None else max(0.0, self.budget.seconds - self.seconds)

    def afford(self, wanted: int) -> int:
        """How many of `wanted` trials may still be made."""
        return wanted if self.trials_left is None else min(wanted, self.trials_left)
