"""Whether a measurement has settled: the medians of its windows, and how far apart the last of them are."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from msgspec import Struct

AGREEING = 3
"""So many windows in a row must agree."""


class Stability(Struct, frozen=True, kw_only=True):
    """`windows_ms` are the medians of the windows, in order: milliseconds.

    `spread` is how much longer the slowest of the last three is than the fastest (0.02: 2 %), `stable` whether that is
    within `tolerance`; both are None with fewer than three windows. `drift` is the last window over the first, less
    one: the package is its own baseline before and after; None with one window.
    """

    windows_ms: list[float]
    tolerance: float
    spread: float | None
    stable: bool | None
    drift: float | None


def stability(windows: Sequence[Sequence[float]], tolerance: float) -> Stability:
    """The verdict on `windows`: the durations in each, seconds. None of them is empty."""
    medians = [1e3 * statistics.median(window) for window in windows]
    last = medians[-AGREEING:]
    spread = max(last) / min(last) - 1 if len(last) == AGREEING and min(last) > 0 else None
    return Stability(
        windows_ms=medians,
        tolerance=tolerance,
        spread=spread,
        stable=None if spread is None else spread <= tolerance,
        drift=medians[-1] / medians[0] - 1 if len(medians) > 1 and medians[0] > 0 else None,
    )


def warnings(verdict: Stability) -> list[str]:
    """What a reader of the result must know of it, one sentence each."""
    said = []
    if verdict.stable is False and verdict.spread is not None:
        said.append(
            f"unstable: after {len(verdict.windows_ms)} windows the last {AGREEING} are still {verdict.spread:.1%} "
            f"apart, more than {verdict.tolerance:.0%}"
        )
    if verdict.drift is not None and abs(verdict.drift) > verdict.tolerance:
        said.append(f"drift: the last window is {verdict.drift:+.1%} beside the first")
    return said
