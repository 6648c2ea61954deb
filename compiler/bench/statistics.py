"""From single durations to the figures of a result."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import Struct


class Latency(Struct, frozen=True, kw_only=True):
    """Milliseconds per invocation; `cv`, the coefficient of variation, is the standard deviation over the mean."""

    mean: float
    p50: float
    p90: float
    p99: float
    min: float
    max: float
    cv: float


@dataclass(frozen=True)
class Ratio:
    """How many times the latency of `reference` the latency of `engine` is: below 1 is faster.

    The median of the rounds' ratios (each of two medians that were measured right after each other), with the
    lowest and highest of them.
    """

    engine: str
    reference: str
    ratio: float
    low: float
    high: float


def latency(seconds: Sequence[float]) -> Latency:
    """The figures over all durations (seconds, at least one)."""
    milliseconds = np.asarray(seconds, dtype=np.float64) * 1e3
    p50, p90, p99 = np.percentile(milliseconds, [50, 90, 99])
    mean = float(milliseconds.mean())
    return Latency(
        mean=mean,
        p50=float(p50),
        p90=float(p90),
        p99=float(p99),
        min=float(milliseconds.min()),
        max=float(milliseconds.max()),
        cv=float(milliseconds.std() / mean) if mean > 0 else 0.0,
    )


def paired_ratio(
    engine: str, ours: Sequence[Sequence[float]], reference: str, theirs: Sequence[Sequence[float]]
) -> Ratio:
    """The ratio over rounds: `ours[i]` and `theirs[i]` are the durations of round i, taken in turns."""
    ratios = [statistics.median(a) / statistics.median(b) for a, b in zip(ours, theirs, strict=True)]
    return Ratio(engine, reference, statistics.median(ratios), min(ratios), max(ratios))
