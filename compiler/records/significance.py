"""Whether two series of repeats differ by more than chance would have it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

MOST_REPEATS = 20
"""Of a longer series the first so many are compared: more of one run tell little more."""
CHANCE = 0.1
"""Three repeats each of which every one is faster have a probability of 0.1, and less cannot be had of three."""


@dataclass(frozen=True)
class Comparison:
    """`after` compared with `before`: the ratio of their medians (below 1: faster), and the probability that repeats of
    one and the same speed would lie as far apart."""

    ratio: float
    probability: float

    @property
    def significant(self) -> bool:
        """Whether chance is no good explanation; one repeat a side never is enough."""
        return self.probability <= CHANCE


def compare(before: Sequence[float], after: Sequence[float]) -> Comparison:
    """Compares two series of seconds, neither empty, with the exact rank-sum test (Mann and Whitney, two-sided)."""
    a, b = before[:MOST_REPEATS], after[:MOST_REPEATS]
    wins = sum((x > y) + 0.5 * (x == y) for x in a for y in b)
    pairs = len(a) * len(b)
    far = math.floor(min(wins, pairs - wins))
    extreme = sum(_orders(len(a), len(b), u) for u in range(far + 1))
    probability = min(1.0, 2 * extreme / math.comb(len(a) + len(b), len(a)))
    return Comparison(statistics.median(after) / statistics.median(before), probability)


@cache
def _orders(n: int, m: int, u: int) -> int:
    """In how many orders of n and m numbers exactly `u` pairs are the wrong way round."""
    if u < 0:
        return 0
    if n == 0 or m == 0:
        return int(u == 0)
    return _orders(n - 1, m, u - m) + _orders(n, m - 1, u)
