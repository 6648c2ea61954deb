"""A channel: one quantity of power that a sensor measures, to be read again and again at known places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Channel:
    """`read` returns watts or, where the channel `counts`, joules since some beginning; None where it fails.

    A counter begins anew after `span` joules (None: not known). `sensor` is the kind of sensor or the chip, `bus` the
    PCI address of a GPU.
    """

    name: str
    sensor: str
    counts: bool
    read: Callable[[], float | None]
    span: float | None = None
    bus: str | None = None
