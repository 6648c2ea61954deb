"""Which tasks to search next: where a few percent are worth most to the model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from compiler.tuning.work import Work

if TYPE_CHECKING:
    from compiler.graph.variants import Variants

SLOW_FLOPS = 1e9  # arithmetic operations a second of a kernel of which nothing is known
RIVAL = 1.4  # times the fastest kernel of its layers, above which a kernel of another algorithm is not searched


class Ranking:
    """Ranks the tasks of a model by what searching them is worth, given the best times so far."""

    def __init__(self, expanded: Variants) -> None:
        self._layers = expanded.layers

    def next(self, work: Sequence[Work], seconds: Mapping[str, float], count: int) -> list[Work]:
        """Up to `count` of `work` that are worth searching now, the best first; `seconds` are best times by hash."""
        used = {digest for layer in self._layers for digest in [fastest(layer.tasks.values(), seconds)] if digest}
        ranked = [(self._worth(w, seconds, used), w) for w in work if not w.done]
        ranked.sort(key=lambda pair: -pair[0])
        return [w for value, w in ranked if value > 0][: max(1, count)]

    def _worth(self, work: Work, seconds: Mapping[str, float], used: Collection[str]) -> float:
        best = work.state.best_seconds
        if best is None:  # no trial has succeeded yet
            return (work.state.flops or 0.0) / SLOW_FLOPS * work.state.calls * 0.5**work.stale
        value = best * work.state.calls * 0.5**work.stale
        if work.state.hash in used:
            return value
        # A kernel of an algorithm that is slower so far is worth searching only while it might still win.
        rival = self._rival(work, seconds)
        return value * 0.5 if rival is not None and best < RIVAL * rival else 0.0

    def _rival(self, work: Work, seconds: Mapping[str, float]) -> float | None:
        found = [
            min(seconds[h] for h in layer.tasks.values() if h in seconds)
            for layer in self._layers
            if work.state.hash in layer.tasks.values() and any(h in seconds for h in layer.tasks.values())
        ]
        return max(found, default=None)


def fastest(hashes: Iterable[str], seconds: Mapping[str, float]) -> str | None:
    """That of `hashes` with the smallest time, of those that have one."""
    measured = [h for h in hashes if h in seconds]
    return min(measured, key=lambda h: seconds[h]) if measured else None
