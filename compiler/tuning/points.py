"""The points of a design space: every choice that its trace leaves open, read from the trace as data.

Spaces are small (tens to hundreds of points: `schedules/`), so that all are listed and ranked, where MetaSchedule's
evolutionary search draws and mutates, replaying each as a schedule: that took a third of the time of tuning, and
seconds for the last few points of a space.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from compiler.tuning.features import Features, factors_of
from schedules.cpu.tiles import divisors

MOST = 2048
"""Points of a space that are looked at; of a larger one as many are drawn."""


@dataclass(frozen=True)
class Point:
    """A point of a design space: the space's number, and the choices there: of the instructions with these numbers, the
    factors of a loop, or which of several values."""

    space: int
    choices: tuple[tuple[int, tuple[int, ...] | int], ...]


class Space:
    """A design space, from the trace of its default."""

    def __init__(self, number: int, trace: str) -> None:
        """Raises ValueError for instructions that choose in other ways than the schedules do."""
        self.number = number
        self._instructions, decisions = json.loads(trace)
        self._defaults = {int(position): value for position, value in decisions}
        self._options: dict[int, list[Any]] = {}
        for position, value in self._defaults.items():
            name, _, attributes, _ = self._instructions[position]
            if name == "SamplePerfectTile":
                self._options[position] = list(_tiles(math.prod(value), len(value), int(attributes[1])))
            elif name == "SampleCategorical":
                self._options[position] = list(range(len(attributes[0])))
            else:
                raise ValueError(f"a schedule chooses by {name}")

    @property
    def size(self) -> int:
        return math.prod(len(options) for options in self._options.values())

    def points(self, rng: random.Random) -> list[Point]:
        """All points, or MOST of them drawn by `rng`, the default among them."""
        positions = list(self._options)
        if self.size <= MOST:
            chosen = set(itertools.product(*self._options.values()))
        else:
            chosen = {tuple(rng.choice(options) for options in self._options.values()) for _ in range(MOST)}
        default = tuple(_key(self._defaults[position]) for position in positions)
        return [
            Point(self.number, tuple(zip(positions, values, strict=True)))
            for values in sorted({*chosen, default}, key=repr)
        ]

    def features(self, point: Point) -> Features:
        """Those of `features.factors` for the candidate at a point of this space."""
        return factors_of(self._instructions, {**self._defaults, **dict(point.choices)})


def _key(value: Any) -> Any:
    return tuple(int(factor) for factor in value) if isinstance(value, list) else int(value)


def _tiles(extent: int, parts: int, most: int) -> Iterator[tuple[int, ...]]:
    """All ways to cut `extent` into `parts` factors, the last of which is at most `most`."""
    if parts == 1:
        if extent <= most:
            yield (extent,)
        return
    for first in divisors(extent):
        for rest in _tiles(extent // first, parts - 1, most):
            yield (first, *rest)
