"""What a meter says of windows: their energies, and how these were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compiler.runtime.sensors.energy import Energy
from compiler.runtime.sensors.sampler import EnergyReport
from compiler.runtime.sensors.total import Scope

COUNTED = "difference of an energy counter between a window's edges"
INTEGRATED = "trapezoids between readings of power"


@dataclass(frozen=True)
class Readings:
    """`windows` in the order in which they were asked for; `interval` are the seconds between two readings."""

    source: str
    covers: str
    method: str
    interval: float | None
    windows: Sequence[Energy]


def readings_of(report: EnergyReport, scope: Scope) -> Readings:
    """The sums over all channels of a report; a window that one channel cannot resolve has no energy."""
    sensors = dict.fromkeys(channel.sensor for channel in report.channels)
    intervals = [channel.interval for channel in report.channels if channel.interval is not None]
    counted = any(channel.counts for channel in report.channels)
    return Readings(
        source=f"{', '.join(sensors)} {' + '.join(scope.names)}",
        covers=scope.covers,
        method=COUNTED if counted else INTEGRATED,
        interval=max(intervals, default=None),
        windows=[_sum(energies, scope.names) for energies in report.windows],
    )


def _sum(energies: Sequence[Energy], names: Sequence[str]) -> Energy:
    joules = doubt = 0.0
    for energy, name in zip(energies, names, strict=True):
        if energy.joules is None:
            return Energy(None, why=f"{name}: {energy.why}")
        joules, doubt = joules + energy.joules, doubt + energy.doubt
    return Energy(joules, doubt)
