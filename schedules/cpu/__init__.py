"""Schedules for CPUs: a file per kind of kernel, each a function of tile sizes whose default point needs no tuning."""

from __future__ import annotations

from collections.abc import Callable

from tvm import s_tir

from . import conv2d, conv2d_half, dense, generic, grouped, lrn, window, winograd
from .blocks import NotApplicable
from .tiles import Hardware

FAMILIES = (conv2d, conv2d_half, grouped, winograd, dense, window, lrn)

Space = Callable[[s_tir.Schedule], None]


def spaces(sch: s_tir.Schedule, hardware: Hardware) -> list[Space]:
    """The design spaces of the function in `sch`, best first; each is a function that schedules a copy of it.

    The first, taken at its defaults, is the schedule that a kernel gets with no tuning. Where none applies,
    `generic.spaces` are the last resort.
    """
    for family in FAMILIES:
        try:
            found = family.spaces(sch, hardware)
        except NotApplicable:
            continue
        if found:
            return found
    return generic.spaces(sch, hardware)
