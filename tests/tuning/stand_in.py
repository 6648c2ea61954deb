"""A builder that builds nothing: what becomes of a job is what a test says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from compiler.tuning.builder import Done
from compiler.tuning.workers import Outcome


class StandInBuilder(ABC):
    """A Builder (see compiler/tuning/builder.py) in this thread, one job after the other."""

    parallel = 2

    @abstractmethod
    def build(self, job: dict[str, Any]) -> Outcome:
        """What becomes of `job`."""

    def map(
        self,
        kind: str,
        jobs: Sequence[dict[str, Any]],
        timeout: float,
        stop: Callable[[], bool] | None = None,
        done: Done | None = None,
    ) -> list[Outcome]:
        assert kind == "build"
        outcomes = []
        for index, job in enumerate(jobs):
            if stop is not None and stop():
                outcomes.append(Outcome(error="not run"))
                continue
            outcomes.append(self.build(job))
            if done is not None:
                done(index, outcomes[-1])
        return outcomes

    def abandon(self) -> None:  # noqa: B027 - most have nothing to end
        """Nothing is under way."""
