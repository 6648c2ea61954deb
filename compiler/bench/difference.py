"""Whether two things that took turns differ in speed, and how small a difference their turns could have shown.

The pairs' ratios are judged by the signed-rank test of Wilcoxon, which asks for no normal distribution and is not moved
by a few turns that something else disturbed. The estimate is that of Hodges and Lehmann: the median of the mean of
every two ratios (in logarithms), and the interval is the one that belongs to the test. It asks for pairs that know
nothing of each other; those of a machine whose speed wanders do, so the interval is widened by how much they do: the
sum of their autocorrelations, cut off as in Geyer, Practical Markov Chain Monte Carlo (1992), section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct

CHANCE = 0.001
"""How often a difference is found where there is none: of a thousand."""
FLOOR = 0.0025
"""What two loads of one package may differ by, by where their memory lies; less is no difference of theirs."""
LEAST_PAIRS = 12
"""Fewer cannot reach so small a chance."""
MOST_PAIRS = 1000
_EXACT = 60


class Difference(Struct, frozen=True, kw_only=True):
    """`ratio` is the time of the second over that of the first, between `low` and `high` but for a chance of 0.001.

    `found` says that neither 1 nor what is within `FLOOR` of it is between them. `smallest` is the difference that this
    would have found almost surely: the floor and the whole width of the interval (0.02: 2 %).
    """

    ratio: float
    low: float
    high: float
    found: bool
    smallest: float
    pairs: int


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Compares durations: `first[i]` and `second[i]` were taken next to each other; from `LEAST_PAIRS` pairs on.

    Raises ValueError for fewer pairs, or where the two are not of one length.
    """
    if len(first) != len(second) or len(first) < LEAST_PAIRS:
        raise ValueError(f"a difference needs {LEAST_PAIRS} pairs or more")
    logs = np.log(np.asarray(second[:MOST_PAIRS], float)) - np.log(np.asarray(first[:MOST_PAIRS], float))
    n = len(logs)
    rows, columns = np.triu_indices(n)
    means = np.sort((logs[rows] + logs[columns]) / 2)
    middle = n * (n + 1) / 4
    outside = max(0, math.floor(middle - (middle - _outside(n)) * math.sqrt(_dependence(logs))))
    low, high = float(means[outside]), float(means[-1 - outside])
    return Difference(
        ratio=math.exp(float(np.median(means))),
        low=math.exp(low),
        high=math.exp(high),
        found=low > FLOOR or high < -FLOOR,
        smallest=math.expm1(high - low) + FLOOR,
        pairs=n,
    )


def _outside(n: int) -> int:
    """How many of the ordered means lie outside the interval on each side: the critical value of the test."""
    if n > _EXACT:
        # the normal approximation; NormalDist().inv_cdf(1 - CHANCE / 2)
        deviations = 3.2905267314919255
        middle, spread = n * (n + 1) / 4, math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return max(0, math.floor(middle - deviations * spread))
    # In how many of the 2^n choices of signs the ranks with a plus sum up to w.
    ways = [1] + [0] * (n * (n + 1) // 2)
    for rank in range(1, n + 1):
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    allowed, count, w = CHANCE / 2 * 2**n, 0, 0
    while count + ways[w] <= allowed:
        count += ways[w]
        w += 1
    return w


def _dependence(values: np.ndarray) -> float:
    """By how much the variance of the mean of `values`' ranks exceeds that of as many independent ones; at least 1."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[which]  # of equal values, the mean of theirs
    ranks = ranks - ranks.mean()
    power = float(ranks @ ranks)
    if power == 0:
        return 1.0
    together = [float(ranks[lag:] @ ranks[: len(ranks) - lag]) / power for lag in range(len(ranks) // 2)]
    total = 0.0
    for even, odd in zip(together[::2], together[1::2], strict=False):
        if even + odd <= 0:
            break
        total += even + odd
    return max(1.0, 2 * total - 1)
