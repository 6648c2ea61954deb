"""Energy over a window of time, from readings of power or of a counter of energy.

Readings come at irregular times, and never exactly at a window's edges: between two of them, power is taken to change
linearly and a counter to grow linearly. What readings cannot resolve has no figure, but a reason. The native agent has
the same (compiler/runtime/agent/native/energy.cc), and a test holds both to the same figures.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct


class Energy(Struct, frozen=True):
    """`joules` over a window, or `why` there is no figure.

    `doubt` is how much of it may belong to the neighbours of the window, in joules: a window's edge lies between two
    readings, and what happened between these is not known.
    """

    joules: float | None
    doubt: float = 0.0
    why: str | None = None


def power_energy(times: Sequence[float], watts: Sequence[float], begin: float, end: float, period: float) -> Energy:
    """The energy from `begin` to `end`: trapezoids between readings of power at ascending `times` (all in seconds).

    There is none where the readings do not cover the window, where it is shorter than `period`, the usual time between
    two readings, or where two readings in it are further apart than half of it.
    """
    refusal = _uncovered(times, begin, end) or _too_short(begin, end, period)
    if refusal is not None:
        return refusal
    first, last = _around(times, begin, end)
    longest = max(times[at + 1] - times[at] for at in range(first, last))
    if 2 * longest > end - begin:
        return _coarse(longest, end - begin)
    points = [(begin, _between(times, watts, first, begin))]
    points += [(times[at], watts[at]) for at in range(first + 1, last) if begin < times[at] < end]
    points.append((end, _between(times, watts, last - 1, end)))
    joules = sum((t1 - t0) * (w0 + w1) / 2 for (t0, w0), (t1, w1) in pairwise(points))
    doubt = 0.0
    for at, edge in ((first, begin), (last - 1, end)):
        doubt += abs(watts[at + 1] - watts[at]) * _from_nearest(times, at, edge)
    return Energy(joules, doubt)


def counter_energy(
    times: Sequence[float], joules: Sequence[float], begin: float, end: float, period: float, span: float | None
) -> Energy:
    """The energy from `begin` to `end`: the difference of a counter's readings, interpolated at both.

    A counter moves in steps: only readings that are new count. One that became smaller has begun anew after `span`
    joules; where that is not known, or cannot be meant, windows around that moment have no figure. Nor have those that
    the readings do not cover, that are shorter than `period`, or with edges that are further from readings than an
    eighth of them, on the average.
    """
    new_times, total, resets = steps(times, joules, span)
    refusal = _uncovered(new_times, begin, end) or _too_short(begin, end, period)
    if refusal is not None:
        return refusal
    first, last = _around(new_times, begin, end)
    if any(new_times[first] < reset <= new_times[last] for reset in resets):
        return Energy(None, why="the counter of energy was reset")
    away = [_from_nearest(new_times, at, edge) for at, edge in ((first, begin), (last - 1, end))]
    if 4 * sum(away) > end - begin:
        longest = max(new_times[first + 1] - new_times[first], new_times[last] - new_times[last - 1])
        return _coarse(longest, end - begin)
    used = _between(new_times, total, last - 1, end) - _between(new_times, total, first, begin)
    doubt = 0.0
    for at, distance in zip((first, last - 1), away, strict=True):
        doubt += distance * (total[at + 1] - total[at]) / (new_times[at + 1] - new_times[at])
    return Energy(used, doubt)


def steps(
    times: Sequence[float], joules: Sequence[float], span: float | None
) -> tuple[list[float], list[float], list[float]]:
    """When a counter's readings were new, the joules since the first one at each of these times, and when it was reset.

    A counter that became smaller has gone on from `span`, if that means no more than half of `span`: more would have
    been a reset.
    """
    new_times, total, resets = list(times[:1]), [0.0][: len(times)], []
    for at in range(1, len(times)):
        grown = joules[at] - joules[at - 1]
        if grown == 0:
            continue
        if grown < 0:
            grown = grown + span if span is not None else -1.0
            if grown < 0 or (span is not None and grown > span / 2):
                resets.append(times[at])
                grown = 0.0
        new_times.append(times[at])
        total.append(total[-1] + grown)
    return new_times, total, resets


def _around(times: Sequence[float], begin: float, end: float) -> tuple[int, int]:
    """The last reading at or before `begin`, and the first at or after `end`."""
    return bisect_right(times, begin) - 1, bisect_left(times, end)


def _between(times: Sequence[float], values: Sequence[float], at: int, time: float) -> float:
    share = (time - times[at]) / (times[at + 1] - times[at])
    return values[at] + share * (values[at + 1] - values[at])


def _from_nearest(times: Sequence[float], at: int, edge: float) -> float:
    return max(0.0, min(edge - times[at], times[at + 1] - edge))


def _uncovered(times: Sequence[float], begin: float, end: float) -> Energy | None:
    if len(times) >= 2 and times[0] <= begin < end <= times[-1]:
        return None
    return Energy(None, why="the readings do not cover the window")


def _too_short(begin: float, end: float, period: float) -> Energy | None:
    if end - begin >= period:
        return None
    return Energy(None, why=f"a window of {end - begin:.3g} s is shorter than the {period:.3g} s between readings")


def _coarse(longest: float, window: float) -> Energy:
    return Energy(None, why=f"readings {longest:.3g} s apart are too few for a window of {window:.3g} s")
