"""How many channels a kernel computes so that those wanted fill whole vectors of the hardware."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from schedules.cpu.tiles import Hardware, filled

Fill = Callable[[int, int], int]
"""(channels, pixels in a row of the result) -> channels to compute, at least as many."""


def filling(hardware: Hardware) -> Fill:
    """What is best on `hardware`."""
    return partial(filled, hardware=hardware)


def unfilled(channels: int, _pixels: int) -> int:
    """As many as there are."""
    return channels
