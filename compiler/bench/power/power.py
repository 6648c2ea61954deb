"""The power of one engine in a result."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from compiler.bench.power.readings import Readings
from compiler.runtime.sensors.energy import Energy
from compiler.runtime.timing import Window

LONGER = "more --seconds make longer windows"
MAX_UNCERTAINTY = 0.05
"""Above this a figure says so."""
_LEAST_SHARE = 0.5
"""Of the windows' time must be resolved: what is left out is not like the rest, but shorter."""


class Power(Struct, frozen=True, kw_only=True):
    """Mean `watts` over the windows that were resolved, `windows` of `of_windows`, which lasted `seconds` and took
    `joules`; or `reason` says why there is no figure.

    `idle_watts` is what the same sensors said before, when nothing was computed, and is contained in `watts`;
    `idle_reason` says why that is not known. `uncertainty` is the share of the energy that windows' edges, between two
    readings, leave open. `covers` is what the sensors feed or measure, `interval_s` the time between readings that were
    new, `method` how energy was made of them.
    """

    watts: float | None = None
    idle_watts: float | None = None
    joules: float | None = None
    seconds: float | None = None
    windows: int = 0
    of_windows: int = 0
    uncertainty: float | None = None
    source: str | None = None
    covers: str | None = None
    method: str | None = None
    interval_s: float | None = None
    reason: str | None = None
    idle_reason: str | None = None


def power_of(
    readings: Readings, windows: Sequence[tuple[Window, Energy]], idle_watts: float | None, idle_reason: str | None
) -> Power:
    """The power over `windows` with their energies."""
    resolved = [(window, energy) for window, energy in windows if energy.joules is not None]
    seconds = sum(window.end - window.begin for window, _ in resolved)
    every = sum(window.end - window.begin for window, _ in windows)
    joules = sum(energy.joules or 0.0 for _, energy in resolved)
    reason = None
    if not every:
        reason = "the engine does not say when its runs ran"
    elif seconds < _LEAST_SHARE * every:
        why = next(energy.why for _, energy in windows if energy.joules is None)
        reason = f"unresolved in {len(windows) - len(resolved)} of {len(windows)} windows: {why}; {LONGER}"
    elif joules <= 0:
        reason = f"{readings.source} says that no energy was used"
    known = reason is None
    return Power(
        watts=joules / seconds if known else None,
        idle_watts=idle_watts,
        joules=joules if known else None,
        seconds=seconds if known else None,
        windows=len(resolved),
        of_windows=len(windows),
        uncertainty=sum(energy.doubt for _, energy in resolved) / joules if known else None,
        source=readings.source,
        covers=readings.covers,
        method=readings.method,
        interval_s=readings.interval,
        reason=reason,
        idle_reason=idle_reason,
    )


def power_warnings(power: Power | None) -> list[str]:
    """What a reader of a result with this power must know, one sentence each."""
    if power is None or power.uncertainty is None or power.uncertainty <= MAX_UNCERTAINTY:
        return []
    return [f"the power is uncertain by {power.uncertainty:.0%}, since the sensor reads slowly: {LONGER}"]


def says(power: Power) -> str:
    """Sensor, what it covers, sampling and method, in a phrase."""
    every = "" if power.interval_s is None else f", a reading every {power.interval_s:.3g} s"
    return f"{power.source} ({power.covers}){every}; {power.method}"
