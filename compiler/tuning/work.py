"""A task under way, and a trial of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler.records.provenance import NOTHING_KNOWN, Provenance
from compiler.tuning import limits
from compiler.tuning.state import TaskState
from compiler.tuning.workers import Outcome

if TYPE_CHECKING:
    from compiler.tuning.search import Candidate, Search

PATIENCE = 3  # rounds without improvement after which a task is left alone


@dataclass(eq=False)
class Work:
    """A task under way: what is known of it, and its search. `stale` counts its last rounds that brought nothing."""

    state: TaskState
    search: Search
    searching: bool = False
    stale: int = 0

    @property
    def done(self) -> bool:
        return self.stale >= PATIENCE or self.search.exhausted

    @property
    def weights(self) -> list[int]:
        """Positions of the parameters that are weights."""
        attributes = self.search.task.mod["main"].attrs
        return [int(i) for i in attributes["layout_free_buffers"]] if "layout_free_buffers" in attributes else []


@dataclass(eq=False)
class Trial:
    """A candidate on its way: proposed, then built, then measured.

    `library`, `arguments` (shape and dtype of each parameter) and `weights` (which of them are) are what building gave.
    `again` is a measurement that is made once more, because its board was not itself when it made it. `provenance` is
    in what state the machine was that measured, `readings` what a board's sensors read last before.
    """

    work: Work
    candidate: Candidate
    library: str = ""
    arguments: list[tuple[tuple[int, ...], str]] | None = None
    weights: list[int] = field(default_factory=list)
    again: bool = False
    provenance: Provenance = NOTHING_KNOWN
    readings: Mapping[str, Any] = field(default_factory=dict)

    def built(self, outcome: Outcome) -> str | None:
        """Take what building gave; None, or why there is nothing to measure."""
        if outcome.error is not None:
            return f"build: {outcome.error}"
        self.library, self.arguments = outcome.value
        self.weights = self.work.weights  # here, where TVM is used, and not on the thread of a board
        return None

    def job(self) -> dict[str, Any]:
        """What is to be measured, as workers and boards take it, with the best time as it is now."""
        best = self.work.state.best_seconds
        return {
            "library": self.library,
            "arguments": self.arguments,
            "weights": self.weights,
            "repeats": limits.REPEATS,
            "repeat_seconds": limits.REPEAT_SECONDS,
            "give_up": None if best is None else limits.GIVE_UP * best + 1e-5,
        }


class Measured(NamedTuple):
    """A trial and what became of it: the seconds of each repeat as the outcome's value, or why there are none."""

    trial: Trial
    outcome: Outcome
