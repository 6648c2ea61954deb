"""How many channels a kernel computes so that those wanted fill whole vectors of the hardware."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from schedules.cpu.tiles import Hardware, filled
from schedules.cuda.gpu import Gpu

Fill = Callable[[int, int], int]
"""(channels, pixels in a row of the result) -> channels to compute, at least as many."""


def filling(hardware: Hardware | Gpu) -> Fill:
    """What is best on `hardware`; a GPU's threads leave out what there is too much of."""
    if isinstance(hardware, Gpu):
        return unfilled
    return partial(filled, hardware=hardware)


def unfilled(channels: int, _pixels: int) -> int:
    """As many as there are."""
    return channels
