"""How good the best schedule of a task was after so many trials: the tuning curve, from the records of a run."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from compiler.records.record import CHECK_RUN, Record


@dataclass(frozen=True)
class Curve:
    """One task in one run. `best[n]` is the shortest median in seconds among the first n + 1 trials, None before the
    first that succeeded."""

    workload: str
    run: str
    best: tuple[float | None, ...]

    def share(self, trials: int) -> float | None:
        """The speed reached after `trials` trials over that of the whole run; None where nothing had succeeded."""
        then, end = self.best[min(trials, len(self.best)) - 1], self.best[-1]
        return None if then is None or end is None else end / then


def curves(records: Iterable[Record]) -> list[Curve]:
    """A curve for each task and run in `records` (checks are no trials), the longest first."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.run != CHECK_RUN:
            found[record.workload, record.run].append(record)
    made = [
        Curve(workload, run, tuple(_best_so_far(sorted(trials, key=lambda r: (r.created, r.id)))))
        for (workload, run), trials in found.items()
    ]
    return sorted(made, key=lambda curve: (-len(curve.best), curve.workload, curve.run))


def _best_so_far(trials: list[Record]) -> Iterable[float | None]:
    def better(best: float | None, cost: float | None) -> float | None:
        return best if cost is None or (best is not None and best <= cost) else cost

    return itertools.accumulate((record.cost for record in trials), better)
